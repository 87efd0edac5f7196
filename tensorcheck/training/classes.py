"""From what a file calls the classes to the numbers that a loss wants."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tensorcheck.training.errors import DataError

SAMPLES_A_CLASS = 3
"""One each for training, validation and test."""


def number_classes(names: Sequence[str], source: object) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Give each class a number, in the order of their names (of their values, where all are whole numbers).

    Raises `DataError`, naming the source, for fewer than two classes or for a class that can't be split in three.

    >>> labels, classes = number_classes(["10", "9", "10", "9", "9", "10"], "pages.csv")
    >>> labels.tolist(), classes
    ([1, 0, 1, 0, 0, 1], ('9', '10'))
    """
    classes = _sorted(set(names))
    if len(classes) < 2:  # noqa: PLR2004 - fewer leave nothing to tell apart
        msg = f"{source} holds one class alone, {classes[0]!r}; at least two are needed"
        raise DataError(msg)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[name] for name in names], dtype=np.int64)
    smallest = int(np.bincount(labels).argmin())
    count = int((labels == smallest).sum())
    if count < SAMPLES_A_CLASS:
        msg = (
            f"the class {classes[smallest]!r} of {source} has {count} sample{'s'[: count != 1]}; at least "
            f"{SAMPLES_A_CLASS} are needed, one each for training, validation and test"
        )
        raise DataError(msg)
    return labels, classes


def _sorted(names: set[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(names))
