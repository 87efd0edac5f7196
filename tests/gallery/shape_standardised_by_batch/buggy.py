import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Picker(nn.Module):
    """Earthquake or noise? Each trace is standardised first, for stations differ in their gain."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv1d(1, 8, 7), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(8, 2))

    def forward(self, row):
        row = (row - row.mean(0)) / (row.std(0) + 1e-6)
        return self.net(row.unsqueeze(1))


def traces(n):
    quake = torch.arange(n) % 2
    trace = torch.randn(n, 60)
    wave = torch.sin(torch.linspace(0, 12, 20)) * torch.linspace(3, 0, 20)
    for i in torch.where(quake == 1)[0].tolist():
        start = int(torch.randint(0, 40, (1,)))
        trace[i, start : start + 20] += wave
    return TensorDataset(trace * (0.2 + 5 * torch.rand(n, 1)) + torch.randn(n, 1), quake)


torch.manual_seed(3)
train, test = DataLoader(traces(480), batch_size=32, shuffle=True), DataLoader(traces(120), batch_size=40)
model = Picker()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(6):
    model.train()
    for trace, quake in train:
        opt.zero_grad()
        nn.functional.cross_entropy(model(trace), quake).backward()
        opt.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(trace).argmax(1) == quake).sum().item() for trace, quake in test)
    print(f"epoch {epoch}: {right / 120:.3f}")
