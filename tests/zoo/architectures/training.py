"""The loop that every architecture goes through: five steps of training, then an evaluation."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tests.zoo.architectures.batches import Batch
from tests.zoo.architectures.catalogue import Architecture

STEPS = 5
_ROWS, _LR = 4, 3e-3


@dataclass(slots=True)
class Trained:
    """What a training came to."""

    losses: list[float] = field(default_factory=list)
    """Of each step, then of the evaluation."""
    seconds: list[float] = field(default_factory=list)
    """Of each step."""
    weights: list[Tensor] = field(default_factory=list)
    drawn: tuple[float, ...] = ()
    """The next random numbers of Python, NumPy and torch."""


class Samples(Dataset[Batch]):
    """The rows of a dictionary of tensors."""

    def __init__(self, columns: Batch) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, row: int) -> Batch:
        return {name: column[row] for name, column in self.columns.items()}


def train(architecture: Architecture, build: Callable[[Architecture], nn.Module] = Architecture.build) -> Trained:
    """Train it from the same random numbers each time."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global one, which some of the models use
    torch.manual_seed(0)
    model = build(architecture)
    loader = DataLoader(Samples(architecture.batch(STEPS * _ROWS)), batch_size=_ROWS, shuffle=True)
    held_out = DataLoader(Samples(architecture.batch(2 * _ROWS)), batch_size=_ROWS)
    trained = Trained()
    _train(architecture, model, loader, trained)
    trained.losses.append(_evaluated(architecture, model, held_out))
    trained.weights = [parameter.detach() for parameter in model.parameters()]
    trained.drawn = (random.random(), np.random.rand(), torch.rand(()).item())  # noqa: NPY002, S311 - likewise
    return trained


def _train(architecture: Architecture, model: nn.Module, loader: DataLoader[Batch], trained: Trained) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LR)
    model.train()
    for batch in loader:
        started = time.perf_counter()
        optimizer.zero_grad()
        loss = model(**batch, **architecture.more).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        trained.losses.append(loss.item())
        trained.seconds.append(time.perf_counter() - started)


def _evaluated(architecture: Architecture, model: nn.Module, loader: DataLoader[Batch]) -> float:
    model.eval()
    total = 0.0
    with torch.no_grad():
        for batch in loader:
            total += model(**batch, **architecture.more).loss.item()
    return total / len(loader)
