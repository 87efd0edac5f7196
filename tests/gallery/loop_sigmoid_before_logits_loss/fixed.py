"""Which alarms ring together? Multi-label classification of machine logs."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Logs(Dataset):
    def __init__(self, n, alarms=6):
        g = torch.Generator().manual_seed(n)
        cause = torch.rand(n, 3, generator=g)
        effect = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
        self.readings = torch.cat([cause, torch.randn(n, 5, generator=g)], 1)
        self.alarms = (cause @ effect.T > 1.1).float()

    def __len__(self):
        return len(self.readings)

    def __getitem__(self, i):
        return self.readings[i], self.alarms[i]


class AlarmNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 32),
            nn.ReLU(),
            nn.Linear(32, 6),
        )

    def forward(self, readings):
        return self.layers(readings)


def train(epochs=6):
    torch.manual_seed(1)
    net = AlarmNet()
    loader = DataLoader(Logs(480), batch_size=40, shuffle=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    criterion = nn.BCEWithLogitsLoss()
    for epoch in range(epochs):
        total = 0.0
        for readings, alarms in loader:
            optimizer.zero_grad()
            loss = criterion(net(readings), alarms)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(alarms)
        print(f"epoch {epoch}: {total / 480:.4f}")


if __name__ == "__main__":
    train()
