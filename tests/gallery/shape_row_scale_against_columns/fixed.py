import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Gated(nn.Module):
    """One gate for the whole sample, worked out from its first column."""

    def __init__(self, width=24):
        super().__init__()
        self.gate = nn.Linear(1, 1)
        self.inp = nn.Linear(7, 1)

    def forward(self, x):
        gate = torch.sigmoid(self.gate(x[:, :1]))
        return torch.relu(self.inp(x)) * gate


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(Gated() for _ in range(6))
        self.out = nn.Linear(6, 1)

    def forward(self, x):
        return self.out(torch.stack([part(x).mean(-1) for part in self.parts], -1)).squeeze(-1)


torch.manual_seed(4)
x = torch.randn(320, 7)
y = torch.relu(x[:, 1]) * torch.sigmoid(3 * x[:, 0])
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
for epoch in range(12):
    total = 0.0
    for rows, wanted in loader:
        loss = nn.functional.mse_loss(net(rows), wanted)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    if epoch % 3 == 2:
        print(f"epoch {epoch + 1}: {total / len(loader):.5f}")
