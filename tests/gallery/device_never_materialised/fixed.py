"""Forecast the load of a power grid an hour ahead with a small convolutional network."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

WINDOW = 24


class Load(Dataset):
    """Windows of a series with a daily and a weekly rhythm."""

    def __init__(self, hours: int):
        t = torch.arange(hours)
        daily = torch.sin(2 * math.pi * t / 24)
        weekly = 0.5 * torch.cos(2 * math.pi * t / 168)
        self.series = daily + weekly + 0.1 * torch.randn(hours)

    def __len__(self):
        return len(self.series) - WINDOW

    def __getitem__(self, i):
        return self.series[i : i + WINDOW].unsqueeze(0), self.series[i + WINDOW]


class Forecaster(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv1d(1, channels, 5, padding=2), nn.ReLU(), nn.Conv1d(channels, channels, 5, dilation=2, padding=4), nn.ReLU()
        )
        self.regressor = nn.Linear(channels * WINDOW, 1)

    def forward(self, window):
        return self.regressor(self.encoder(window).flatten(1)).squeeze(1)


def fits_in_memory(model: nn.Module, budget_mb: float) -> bool:
    return sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20 <= budget_mb


def build(device: torch.device) -> nn.Module:
    """The widest network that fits, tried on the meta device so that trying costs nothing."""
    for channels in (256, 64, 16):
        with torch.device("meta"):
            model = Forecaster(channels)
        if fits_in_memory(model, budget_mb=0.05):
            break
    return model.to_empty(device=device)


@torch.no_grad()
def init_weights(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)


def main():
    torch.manual_seed(24)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = Load(1200)
    train = DataLoader(Subset(data, range(1000)), batch_size=50, shuffle=True)
    test = DataLoader(Subset(data, range(1000, len(data))), batch_size=50)

    model = build(device)
    model.apply(init_weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    criterion = nn.MSELoss()
    for epoch in range(5):
        model.train()
        for window, following in train:
            optimizer.zero_grad()
            loss = criterion(model(window.to(device)), following.to(device))
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            errors = [criterion(model(w.to(device)), f.to(device)).item() for w, f in test]
        print(f"epoch {epoch}: test mse {sum(errors) / len(errors):.4f}")


if __name__ == "__main__":
    main()
