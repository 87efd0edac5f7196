"""Message passing with edge lists: index_add_ and scatter_reduce; graphs of one batch are joined to one."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Convolution(nn.Module):
    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__()
        self.own, self.message = nn.Linear(d_in, d_out), nn.Linear(d_in, d_out, bias=False)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        source, target = edges
        messages = self.message(x)[source]
        gathered = torch.zeros(x.size(0), messages.size(1)).index_add_(0, target, messages)
        degree = torch.zeros(x.size(0)).scatter_add_(0, target, torch.ones_like(target, dtype=torch.float)).clamp(min=1)
        return self.own(x) + gathered / degree.unsqueeze(-1)


class GraphNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.head = Convolution(3, 16), Convolution(16, 16), nn.Linear(16, 2)

    def forward(self, x: Tensor, edges: Tensor, batch: Tensor, graphs: int) -> Tensor:
        x = F.relu(self.c1(x, edges))
        x = F.relu(self.c2(x, edges))
        pooled = torch.zeros(graphs, x.size(1)).scatter_reduce(0, batch[:, None].expand_as(x), x, "mean", include_self=False)
        return self.head(pooled)


def make_batch(graphs: int, g: torch.Generator):
    xs, edges, batch, ys, offset = [], [], [], [], 0
    for k in range(graphs):
        n = int(torch.randint(3, 7, (1,), generator=g))
        y = int(torch.randint(2, (1,), generator=g))
        x = torch.randn(n, 3, generator=g) + (y * 2 - 1) * 0.7
        ring = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
        xs.append(x), ys.append(y), edges.append(ring + offset), batch.append(torch.full((n,), k))
        offset += n
    return torch.cat(xs), torch.cat(edges, 1), torch.cat(batch), torch.tensor(ys)


g = torch.Generator().manual_seed(0)
torch.manual_seed(0)
model = GraphNet()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
losses = []
for step in range(40):
    x, edges, batch, y = make_batch(16, g)
    loss = F.cross_entropy(model(x, edges, batch, 16), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
model.eval()
with torch.no_grad():
    x, edges, batch, y = make_batch(40, g)
    assert (model(x, edges, batch, 40).argmax(1) == y).float().mean() > 0.6
assert sum(losses[-5:]) < sum(losses[:5])
