"""A custom `Dataset` for classification, and the simplest one: samples that are already in memory."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset


class LabelledDataset(Dataset[tuple[Tensor, int]], ABC):
    """Samples that each belong to one of several classes.

    A subclass says how to get one sample; who needs only the labels (to split by class, to count) does not pay for the
    samples.
    """

    classes: tuple[str, ...]
    """The names of the classes; a label is a position in it."""
    labels: NDArray[np.int64]
    """The label of each sample, [samples]."""

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One sample, float32, and its label."""

    def __len__(self) -> int:
        return len(self.labels)


class ArrayDataset(LabelledDataset):
    """Samples in one array, [samples, ...], converted to float32 when one is asked for.

    NumPy's default is float64 and a model's is float32, so the conversion belongs here, where the data enters.

    >>> dataset = ArrayDataset(np.zeros((3, 1, 8, 8), np.uint8), np.array([0, 1, 1]), ("cat", "dog"))
    >>> sample, label = dataset[2]
    >>> sample.shape, sample.dtype, dataset.classes[label]
    (torch.Size([1, 8, 8]), torch.float32, 'dog')
    """

    def __init__(self, features: NDArray[Any], labels: NDArray[np.int64], classes: tuple[str, ...]) -> None:
        self.features = features
        self.labels = labels
        self.classes = classes

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.features[index].astype(np.float32)), int(self.labels[index])
