"""SimCLR: NT-Xent over the batch."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16))
        self.projector = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.projector(self.backbone(x)), dim=1)


def nt_xent(z1: Tensor, z2: Tensor, temperature: float = 0.5) -> Tensor:
    z = torch.cat([z1, z2])
    n = len(z1)
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    positive = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(similarity, positive)


def augment(x: Tensor) -> Tensor:
    return x * (torch.rand_like(x) > 0.1) + 0.1 * torch.randn_like(x)


def main() -> None:
    torch.manual_seed(0)
    data = torch.randn(10, 12)[torch.randint(10, (200,))] + 0.3 * torch.randn(200, 12)
    model = Encoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for epoch in range(8):
        epoch_loss = 0.0
        for batch in data[torch.randperm(200)].split(50):
            loss = nt_xent(model(augment(batch)), model(augment(batch)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            epoch_loss += loss.item()
        losses.append(epoch_loss)
    # a linear probe on what was learnt
    model.eval().requires_grad_(False)
    probe = nn.Linear(16, 2)
    labels = (data[:, 0] > 0).long()
    opt = torch.optim.SGD(probe.parameters(), lr=0.5)
    first = last = None
    for _ in range(30):
        with torch.no_grad():
            features = model.backbone(data)
        loss = F.cross_entropy(probe(features), labels)
        opt.zero_grad()
        loss.backward()
        opt.step()
        first, last = first or loss.item(), loss.item()
    assert losses[-1] < losses[0] and last < first


main()
