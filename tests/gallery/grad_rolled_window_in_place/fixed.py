import math
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader


class DailyLoad(Dataset):
    """Electricity load: a daily and a weekly wave, cut in windows."""

    def __init__(self, days, past, future, seed):
        generator = torch.Generator().manual_seed(seed)
        hours = torch.arange(24 * days)
        self.load = (
            torch.sin(2 * math.pi * hours / 24)
            + 0.4 * torch.sin(2 * math.pi * hours / 168)
            + 0.05 * torch.randn(len(hours), generator=generator)
        )
        self.past = past
        self.future = future

    def __len__(self):
        return (len(self.load) - self.past - self.future) // 3

    def __getitem__(self, i):
        start = 3 * i
        middle = start + self.past
        return self.load[start:middle], self.load[middle : middle + self.future]


class Autoregressive(nn.Module):
    """Predicts one hour, moves on by one hour, predicts the next."""

    def __init__(self, past, future):
        super().__init__()
        self.future = future
        self.hidden = nn.Linear(past, 32)
        self.next_hour = nn.Linear(32, 1)

    def forward(self, recent):
        forecast = []
        for _ in range(self.future):
            value = self.next_hour(torch.tanh(self.hidden(recent)))
            forecast.append(value)
            recent = torch.cat([recent[:, 1:], value], dim=1)
        return torch.cat(forecast, dim=1)


def main():
    torch.manual_seed(8)
    past, future = 48, 6
    loader = DataLoader(DailyLoad(60, past, future, seed=1), batch_size=32, shuffle=True)
    holdout = DataLoader(DailyLoad(20, past, future, seed=2), batch_size=64)
    model = Autoregressive(past, future)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
    criterion = nn.L1Loss()

    for epoch in range(5):
        model.train()
        train_error = 0.0
        for recent, target in loader:
            optimizer.zero_grad()
            loss = criterion(model(recent), target)
            loss.backward()
            optimizer.step()
            train_error += loss.item()
        scheduler.step()

        model.eval()
        with torch.no_grad():
            errors = [criterion(model(recent), target).item() for recent, target in holdout]
        print(f"epoch {epoch}: train {train_error / len(loader):.4f}, holdout {sum(errors) / len(errors):.4f}")


main()
