"""The parts of a training that stay the same from the first step to the last."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection

from tensorcheck.training.errors import TrainingError
from tensorcheck.training.history import EarlyStopping
from tensorcheck.training.precision import MixedPrecision
from tensorcheck.training.schedules import Schedule

LossFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Parts:
    """What `fit` was given, checked and with every choice made."""

    model: nn.Module
    train_loader: DataLoader[Any]
    val_loader: DataLoader[Any]
    loss_fn: LossFunction
    optimizer: Optimizer
    schedules: tuple[Schedule, ...]
    metrics: MetricCollection | None
    device: torch.device
    mixed: MixedPrecision
    epochs: int
    grad_accumulation: int
    clip_grad_norm: float | None
    early_stopping: EarlyStopping | None
    seed: int | None

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise TrainingError(problem)

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group, now."""
        return float(self.optimizer.param_groups[0]["lr"])

    def settings(self) -> dict[str, Any]:
        """What a checkpoint has to agree with, as plain values; the number of epochs is not among it."""
        defaults = {f"optimizer.{name}": value for name, value in self.optimizer.defaults.items() if _is_plain(value)}
        return {
            "optimizer": type(self.optimizer).__name__,
            "parameters in each group": [len(group["params"]) for group in self.optimizer.param_groups],
            **defaults,
            "scheduler": [f"{type(each.scheduler).__name__} each {each.interval}" for each in self.schedules],
            "precision": self.mixed.precision,
            "grad_accumulation": self.grad_accumulation,
            "clip_grad_norm": self.clip_grad_norm,
            "seed": self.seed,
            "batches an epoch": length_of(self.train_loader),
        }


def length_of(loader: DataLoader[Any]) -> int | None:
    """The number of batches, or None where the dataset does not know its length.

    >>> length_of(DataLoader([1, 2, 3], batch_size=2))
    2
    """
    try:
        return len(loader)
    except TypeError:
        return None


def _problems(parts: Parts) -> Iterable[str]:
    if next(parts.model.parameters(), None) is None:
        yield f"the model {type(parts.model).__name__} has no parameters, so there is nothing to train"
    for name, loader in (("train_loader", parts.train_loader), ("val_loader", parts.val_loader)):
        if length_of(loader) == 0:
            yield f"{name} is empty: its dataset has no samples, or drop_last leaves no whole batch"
    for name, value in (("epochs", parts.epochs), ("grad_accumulation", parts.grad_accumulation)):
        if value < 1:
            yield f"{name} is {value}; at least 1 is needed"
    if parts.clip_grad_norm is not None and not parts.clip_grad_norm > 0:
        yield f"clip_grad_norm is {parts.clip_grad_norm}; a norm above 0 is needed, or None for no clipping"
    if parts.early_stopping is not None and parts.early_stopping.patience < 1:
        yield f"early_stopping has a patience of {parts.early_stopping.patience}; at least 1 is needed"


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str, tuple))
