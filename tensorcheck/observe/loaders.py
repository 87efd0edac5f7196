"""DataLoaders: what they hand out."""

from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch.utils.data import Dataset, dataloader

from tensorcheck.events.crash import Stage
from tensorcheck.events.event import Event
from tensorcheck.events.loading import BatchLoaded
from tensorcheck.modules import LoaderMeta
from tensorcheck.observe.describe import named_tensors, signature
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.sources import sample_site

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators, and the only place they share

_DEEPEST = 8
"""Views of views of a dataset that are looked through."""


class LoaderProbe(Probe):
    """Hears every batch of every DataLoader that is iterated on this session's threads."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({BatchLoaded})
    stage: ClassVar[Stage] = "loader"

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """The end of an epoch is no failure."""
        if not isinstance(error, StopIteration):
            super().raised(args, kwargs, error)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        dataset = args[0]._dataset  # noqa: SLF001 - the iterator knows its loader by the dataset alone
        if not self.sink.hears_this_thread() or not self.sink.wants_dataset(dataset):
            return
        tracing = self.sink.tracing
        if tracing.is_open:
            tracing.batch_loaded(result)
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
            key = ("batch", id(dataset), signature(result))
            is_known = self.sink.is_known(key)
            if not tracing.is_open and (tracing.is_due or not is_known):
                tracing.batch_loaded(result)
            if not is_known:
                fields = named_tensors(result, "batch")
                event = BatchLoaded(self.sink.step, fields, _iterator_meta(args[0]), self.sink.sites.here())
                self.sink.emit(event, signature=key)


def _iterator_meta(iterator: Any) -> LoaderMeta:  # noqa: ANN401 - a private class of torch
    sampler = iterator._index_sampler  # noqa: SLF001 - the loader itself is out of reach from here
    dataset = _innermost(iterator._dataset)  # noqa: SLF001 - likewise
    return LoaderMeta(
        batch_size=getattr(sampler, "batch_size", None),
        length=_length(iterator),
        drop_last=bool(getattr(sampler, "drop_last", False)),
        workers=iterator._num_workers,  # noqa: SLF001 - likewise
        dataset=type(dataset).__name__,
        item_site=sample_site(dataset),
        samples=_length(getattr(sampler, "sampler", None)),
    )


def _innermost(dataset: object) -> object:
    """The dataset that makes the samples, below the subsets and other views of it."""
    for _ in range(_DEEPEST):
        inner = getattr(dataset, "dataset", None)
        if not isinstance(inner, Dataset):
            break
        dataset = inner
    return dataset


def _length(sized: Any) -> int | None:  # noqa: ANN401 - a loader or its iterator, whose dataset may have no length
    try:
        return len(sized)
    except TypeError:
        return None
