import torch
from torch import nn


class Pretrained(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Linear(12, 32), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
        self.fc = nn.Linear(32, 100)

    def forward(self, x):
        return self.fc(self.layer2(self.layer1(x)))


def flowers(n):
    kind = torch.randint(0, 4, (n,))
    centre = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]).repeat(1, 4)
    return centre[kind] + 0.6 * torch.randn(n, 12), kind


torch.manual_seed(30)
network = Pretrained()
for parameter in network.parameters():
    parameter.requires_grad = False
network.fc = nn.Linear(32, 4)
for parameter in network.layer2.parameters():
    parameter.requires_grad = True

trainable = filter(lambda p: p.requires_grad, network.parameters())
optimizer = torch.optim.Adam(trainable, lr=0.01)
x, kind = flowers(400)
for epoch in range(8):
    running = 0.0
    for xb, yb in zip(x.split(50), kind.split(50)):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(xb), yb)
        loss.backward()
        optimizer.step()
        running += loss.item()
    print(f"epoch {epoch}: {running / 8:.4f}")
