from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass(frozen=True)
class Config:
    inputs: int = 18
    hidden: tuple[int, ...] = (64, 32)
    dropout: float = 0.1
    lr: float = 3e-3
    epochs: int = 8
    batch_size: int = 64


def shop_days(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Eleven measurements of each day, its weekday (0 is Monday) and what was sold."""
    measured = torch.randn(n, 11, generator=generator)
    weekday = torch.arange(n) % 7
    busy = torch.tensor([0.0, 0.1, 0.1, 0.3, 0.8, 1.5, -1.0])
    sold = 0.5 * measured[:, :4].sum(dim=1) + busy[weekday] + 0.1 * torch.randn(n, generator=generator)
    return measured, weekday, sold


def features(measured: torch.Tensor, weekday: torch.Tensor) -> torch.Tensor:
    calendar = nn.functional.one_hot(weekday, num_classes=7).float()
    return torch.cat([measured, calendar], dim=1)


class Forecaster(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [config.inputs, *config.hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in zip(sizes, sizes[1:]):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(config.dropout)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x)).squeeze(1)


def evaluate(model: nn.Module, loader: DataLoader) -> float:
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for x, y in loader:
            total += nn.functional.mse_loss(model(x), y, reduction="sum").item()
    return total / len(loader.dataset)


def main() -> None:
    torch.manual_seed(13)
    config = Config()
    measured, weekday, sold = shop_days(1400, torch.Generator().manual_seed(13))
    x = features(measured, weekday)
    train = DataLoader(TensorDataset(x[:1120], sold[:1120]), batch_size=config.batch_size, shuffle=True)
    test = DataLoader(TensorDataset(x[1120:], sold[1120:]), batch_size=140)

    model = Forecaster(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    for epoch in range(config.epochs):
        model.train()
        for batch, target in train:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(batch), target)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: test mse {evaluate(model, test):.4f}")


if __name__ == "__main__":
    main()
