"""From a DataLoader to the source that makes what it hands out: its collate function, its dataset's sample."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from types import FunctionType

from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset, dataloader

from tensorcheck.observe.frames import Owner, owner_of

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - what `iter(loader)` gives has no public name
_DEEPEST = 8
"""Views of views of a dataset that are looked through."""


@dataclass(frozen=True, eq=False, slots=True)
class Samples:
    """What a collate function is given: a list of a dataset's samples."""

    dataset: object


@dataclass(frozen=True, eq=False, slots=True)
class Loaded:
    """How a DataLoader makes its batches."""

    dataset: object
    collate: FunctionType | None
    """The collate function, if the user wrote it."""


def loaded_by(value: object) -> Loaded | None:
    """How the batches of this loader, or of its running iterator, are made; None of anything else."""
    if isinstance(value, DataLoader):
        return Loaded(value.dataset, _user_function(value.collate_fn))
    if isinstance(value, _ITERATOR):
        return Loaded(value._dataset, _user_function(value._collate_fn))  # noqa: SLF001 - likewise
    return None


def innermost(dataset: object) -> object:
    """The dataset that makes the samples, below subsets and joins of it."""
    for _ in range(_DEEPEST):
        if isinstance(dataset, Subset):
            dataset = dataset.dataset
        elif isinstance(dataset, ConcatDataset) and dataset.datasets:
            dataset = dataset.datasets[0]
        elif _sample_function(dataset) is None and isinstance(inner := getattr(dataset, "dataset", None), Dataset):
            dataset = inner
        else:
            break
    return dataset


def sample_function(dataset: object) -> FunctionType | None:
    """The user's function that makes a sample of this object: its class's `__getitem__` or `__iter__`."""
    return None if isinstance(dataset, TensorDataset) else _sample_function(dataset)


def _sample_function(dataset: object) -> FunctionType | None:
    cls = dataset if isinstance(dataset, type) else type(dataset)
    for name in ("__getitem__", "__getitems__", "__iter__"):
        function = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
        found = _user_function(function)
        if found is not None:
            return found
    return None


def _user_function(value: object) -> FunctionType | None:
    """The function below what is callable, if the user wrote it."""
    if value is None or isinstance(value, Iterable):
        return None
    function = inspect.unwrap(value) if callable(value) else value
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        function = vars(type(function)).get("__call__")
    if isinstance(function, FunctionType) and owner_of(function.__code__.co_filename) is Owner.USER:
        return function
    return None
