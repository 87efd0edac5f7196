"""Which samples of which dataset a DataLoader goes through, as far as its sampler and its subsets tell."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler, Subset, SubsetRandomSampler

_DEEPEST = 8
_MOST = 1 << 20
Drawn = tuple[object, frozenset[int]]


def drawn_samples(dataset: object, sampler: object) -> Drawn | None:
    """The innermost dataset and the places in it; None where that is not known without asking for a sample."""
    inner = sampler.sampler if isinstance(sampler, BatchSampler) else sampler
    places = _of_sampler(dataset, inner)
    for _ in range(_DEEPEST):
        if places is None or type(dataset) is not Subset:
            break
        indices: Any = dataset.indices
        places = [int(indices[place]) for place in places]
        dataset = dataset.dataset
    return (dataset, frozenset(places)) if places is not None else None


def _of_sampler(dataset: Any, sampler: object) -> Sequence[int] | None:  # noqa: ANN401 - any object may be a dataset
    if type(sampler) is SubsetRandomSampler:
        return [int(each) for each in sampler.indices]
    if type(sampler) not in (SequentialSampler, RandomSampler) or not hasattr(dataset, "__len__"):
        return None
    length = len(dataset)
    return range(length) if length <= _MOST else None
