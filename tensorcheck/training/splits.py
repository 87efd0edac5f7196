"""Training, validation and test: three parts of the data that share no sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Subset

from tensorcheck.training.dataset import LabelledDataset

Part = Subset[tuple[Tensor, int]]


@dataclass(frozen=True, slots=True)
class Splits:
    """The weights learn from `train`; `validation` chooses the best epoch; `test` is used once, at the end."""

    train: Part
    validation: Part
    test: Part


def split(dataset: LabelledDataset, *, seed: int, validation: float = 0.15, test: float = 0.2) -> Splits:
    """Split by class, so that each part has the same share of every class and at least one sample of it.

    >>> from tensorcheck.training.embedded import load_digits
    >>> parts = split(load_digits(), seed=0)
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (1169, 269, 359)
    """
    generator = np.random.default_rng(seed)
    by_class = [generator.permutation(np.flatnonzero(dataset.labels == label)) for label in range(len(dataset.classes))]
    parts = [_cut(indices, validation, test) for indices in by_class]
    train, val, held_out = (Subset(dataset, np.concatenate(part).tolist()) for part in zip(*parts, strict=True))
    return Splits(train, val, held_out)


def _cut(indices: NDArray[np.int64], validation: float, test: float) -> tuple[NDArray[np.int64], ...]:
    for_test = max(1, round(test * len(indices)))
    for_validation = max(1, round(validation * len(indices)))
    held_out, val, train = np.split(indices, [for_test, for_test + for_validation])
    return train, val, held_out
