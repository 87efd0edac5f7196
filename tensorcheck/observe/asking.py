"""The samples of a batch that failed, asked for once more."""

import bisect
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import ConcatDataset, Subset

from tensorcheck.loading import Sample
from tensorcheck.observe.failures import failure_of
from tensorcheck.observe.samples import value_meta
from tensorcheck.observe.undisturbed import RandomState, WorkerSeat, undisturbed

_MOST = 64
"""Samples that are asked for, of larger batches the first."""
_DEEPEST = 8


class Asked:
    """What came of asking: samples as plain facts, and where the random numbers stood before each."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.states: list[RandomState] = []


def ask(dataset: Any, indices: Sequence[Any], seat: WorkerSeat | None = None) -> Asked:  # noqa: ANN401 - any object
    """Ask a map-style dataset for samples, until one raises, in the seat of the worker that did so before.

    It takes at most about 0.3 seconds and 64 samples.
    """
    asked = Asked()
    failed = None
    with undisturbed(), seat.taken(dataset) if seat is not None else contextlib.nullcontext():
        for index, named in zip(indices[:_MOST], names_of(dataset, indices), strict=False):
            asked.states.append(RandomState.now())
            try:
                asked.samples.append(Sample(named, value_meta(dataset[index])))
            except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
                failed = (named, error)
                break
    if failed is not None:  # read when the clock has stopped: that takes longer than many a sample
        asked.samples.append(Sample(failed[0], failure=failure_of(failed[1], "__getitem__")))
    return asked


def located(dataset: Any, index: Any) -> tuple[Any, Any]:  # noqa: ANN401 - likewise
    """The dataset that makes a sample, below subsets and joins, and its index there."""
    for _ in range(_DEEPEST):
        try:
            if isinstance(dataset, Subset):
                dataset, index = dataset.dataset, dataset.indices[index]
            elif isinstance(dataset, ConcatDataset):
                dataset, index = _joined(dataset, index)
            else:
                break
        except Exception:  # noqa: BLE001 - an index that is out of range, or none
            break
    return dataset, index


def _joined(dataset: ConcatDataset[Any], index: int) -> tuple[Any, int]:
    index = index if index >= 0 else len(dataset) + index
    place = bisect.bisect_right(dataset.cumulative_sizes, index)
    return dataset.datasets[place], index - (dataset.cumulative_sizes[place - 1] if place else 0)


def index_name(index: Any) -> int | str:  # noqa: ANN401 - a sampler may give anything
    """An index as a reader knows it."""
    if isinstance(index, int):
        return int(index)
    shape = getattr(index, "shape", None)
    if shape is not None and not len(shape):
        return f"{index.item():.4g} ({str(index.dtype).removeprefix('torch.')})"
    return repr(index)[:40]


def names_of(dataset: object, indices: Sequence[Any]) -> Iterator[int | str]:
    """The indices of a batch, each in the dataset that makes the sample; of several, with the dataset's class."""
    places = [located(dataset, index) for index in indices]
    is_one = len({type(owner) for owner, _ in places}) == 1
    return (
        index_name(index) if is_one else f"sample {index_name(index)} of {type(owner).__name__}"
        for owner, index in places
    )
