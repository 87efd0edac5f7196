"""Which indices a batch was made of, when a worker made it: the loader sends them away and keeps none."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler, dataloader

from tensorcheck.events.crash import Stage
from tensorcheck.events.event import Event
from tensorcheck.observe.drawn import DrawnIndices
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators, and the only place they share


class IndexProbe(Probe):
    """Remembers what the samplers of loaders with workers give."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset()
    stage: ClassVar[Stage] = "loader"

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "_next_index", self))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """The iterator passes it on, and is heard then."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch's indices are on their way to a worker."""
        if args[0]._num_workers:  # noqa: SLF001 - the iterator knows it alone
            self.sink.drawn.add(args[0], result)


def indices_of(iterator: Any, batch: int, drawn: DrawnIndices | None) -> Any:  # noqa: ANN401 - likewise
    """The indices of a batch that a worker made: as they were seen, or as the sampler gives them again.

    A sampler is asked again only where that changes nothing and gives the same; None where it cannot be known.
    """
    seen = drawn.of(iterator, batch) if drawn is not None else None
    if seen is not None:
        return seen
    batches = _repeated(iterator._index_sampler)  # noqa: SLF001 - the loader itself is out of reach from here
    if batches is None:
        batches = _still_held(iterator._sampler_iter, iterator._index_sampler)  # noqa: SLF001 - likewise
    return next(itertools.islice(batches, batch, None), None) if batches is not None else None


def _repeated(sampler: Any) -> Iterator[Any] | None:  # noqa: ANN401 - any iterable may be a sampler
    """The same again, of samplers that do nothing but count."""
    if type(sampler) is BatchSampler:
        return iter(sampler) if _repeated(sampler.sampler) is not None else None
    return iter(sampler) if type(sampler) in (SequentialSampler, list, tuple, range) else None


def _still_held(running: Any, sampler: Any) -> Iterator[Any] | None:  # noqa: ANN401 - likewise
    """The batches of a shuffled epoch, from the permutation that the suspended sampler still goes through."""
    if type(sampler) is not BatchSampler or type(sampler.sampler) is not RandomSampler:
        return None
    frame = getattr(running, "gi_frame", None)
    permutation = getattr(frame.f_locals.get("sampler_iter"), "gi_yieldfrom", None) if frame is not None else None
    if permutation is None or sampler.sampler.replacement or sampler.sampler.num_samples > _length(sampler.sampler):
        return None
    whole = permutation.__reduce__()[1][0]
    return _batches(whole, sampler.batch_size)


def _length(sampler: RandomSampler) -> int:
    return len(sampler.data_source)


def _batches(indices: list[int], size: int) -> Iterator[list[int]]:
    return (indices[start : start + size] for start in range(0, len(indices), size))
