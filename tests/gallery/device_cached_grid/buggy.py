"""Find a dot: a CoordConv network regresses the row and column of the brightest spot."""

import functools

import torch
from torch import nn


@functools.lru_cache
def coordinates(side: int) -> torch.Tensor:
    """Row and column of each pixel, from -1 to 1; made once for each size."""
    axis = torch.linspace(-1, 1, side)
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"))


class CoordConv(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in + 2, channels_out, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = coordinates(x.shape[-1])
        return self.conv(torch.cat([x, grid.expand(len(x), -1, -1, -1)], dim=1))


class DotFinder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.entry = CoordConv(1, 24)
        self.deep = nn.Sequential(nn.ReLU(), nn.Conv2d(24, 24, kernel_size=1), nn.ReLU())
        self.place = nn.Linear(24, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.place(self.deep(self.entry(image)).amax(dim=(2, 3)))


def summary(side: int) -> str:
    """What the network puts out for a batch of two, and its size, without computing anything."""
    with torch.device("meta"):
        model = DotFinder()
        out = model(torch.empty(2, 1, side, side))
    return f"{tuple(out.shape)} from {sum(p.numel() for p in model.parameters())} parameters"


def dots(n: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    place = torch.randint(1, side - 1, (n, 2))
    image = 0.2 * torch.rand(n, 1, side, side)
    image[torch.arange(n), 0, place[:, 0], place[:, 1]] = 1.0
    return image, place / (side - 1) * 2 - 1


def main(side: int = 18) -> None:
    torch.manual_seed(27)
    print(summary(side))
    image, place = dots(600, side)
    model = DotFinder()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-2, total_steps=100)
    criterion = nn.SmoothL1Loss()
    for epoch in range(5):
        total = 0.0
        for rows in torch.randperm(600).split(30):
            loss = criterion(model(image[rows]), place[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() / 20
        print(f"epoch {epoch}: {total:.4f}")


if __name__ == "__main__":
    main()
