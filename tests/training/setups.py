"""Small trainings: four classes of points, a model with dropout and a hand-made layer, loaders with workers or not."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tensorcheck.training import fit
from tensorcheck.training.loaders import seed_worker
from tensorcheck.training.loop import TrainingResult
from tensorcheck.training.model import ChannelScale


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """A transform that draws random numbers, in the worker where there is one."""

    def __init__(self, samples: int) -> None:
        generator = torch.Generator().manual_seed(3)
        self.points = torch.randn(samples, 4, generator=generator)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.points[index] + 0.01 * torch.randn(4), self.points[index].argmax()

    def __len__(self) -> int:
        return len(self.points)


class Setup(NamedTuple):
    """What most tests train."""

    model: nn.Module
    train_loader: DataLoader[Any]
    val_loader: DataLoader[Any]
    optimizer: torch.optim.Optimizer

    @property
    def weight(self) -> Tensor:
        """The weight of the first layer."""
        return next(self.model.parameters())

    def fit(self, **options: Any) -> TrainingResult:
        """Train with cross-entropy on the CPU unless the options say otherwise."""
        defaults = {"loss_fn": nn.functional.cross_entropy, "optimizer": self.optimizer, "epochs": 2, "device": "cpu"}
        return fit(self.model, self.train_loader, self.val_loader, **{**defaults, **options})


def make_setup(
    *, samples: int = 50, batch_size: int = 8, workers: int = 0, lr: float = 0.05, hidden: int = 16
) -> Setup:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), ChannelScale(hidden), nn.Dropout(0.2), nn.Linear(hidden, 4))
    train = DataLoader(
        Noisy(samples),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,  # also in a process that a server has forked
        worker_init_fn=seed_worker,
        generator=torch.Generator().manual_seed(1),
    )
    val = DataLoader(Noisy(20), batch_size=8, num_workers=workers, multiprocessing_context="fork" if workers else None)
    return Setup(model, train, val, torch.optim.AdamW(model.parameters(), lr=lr))
