import datetime as dt
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

FIRST_DAY = dt.date(2021, 1, 4)


class BakerySales(IterableDataset):
    """Streams (last fortnight, sales of the day, the day)."""

    def __init__(self, days, seed):
        self.days = days
        self.seed = seed

    def sales(self):
        g = torch.Generator().manual_seed(self.seed)
        for n in range(self.days):
            weekly = 0.6 * (n % 7 >= 5) + 0.2 * math.sin(2 * math.pi * n / 365)
            yield 1 + weekly + 0.05 * torch.randn((), generator=g).item()

    def __iter__(self):
        fortnight = []
        for n, sold in enumerate(self.sales()):
            if len(fortnight) == 14:
                day = FIRST_DAY + dt.timedelta(days=n)
                yield torch.tensor(fortnight), torch.tensor([sold]), day.toordinal()
                fortnight.pop(0)
            fortnight.append(sold)


def main(epochs=6):
    torch.manual_seed(2)
    train = DataLoader(BakerySales(730, seed=1), batch_size=28)
    test = DataLoader(BakerySales(120, seed=2), batch_size=28)
    model = nn.Sequential(nn.Linear(14, 24), nn.ReLU(), nn.Linear(24, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    criterion = nn.SmoothL1Loss()

    for epoch in range(epochs):
        model.train()
        total = batches = 0
        for fortnight, sold, _ in train:
            optimizer.zero_grad()
            loss = criterion(model(fortnight), sold)
            loss.backward()
            optimizer.step()
            total += loss.item()
            batches += 1
        print(f"epoch {epoch}: loss {total / batches:.5f}")

    model.eval()
    worst = (0.0, None)
    with torch.no_grad():
        for fortnight, sold, days in test:
            error, where = (model(fortnight) - sold).abs().squeeze(1).max(0)
            worst = max(worst, (error.item(), int(days[where])))
    print(f"worst day: {dt.date.fromordinal(worst[1])}, off by {worst[0]:.3f}")


if __name__ == "__main__":
    main()
