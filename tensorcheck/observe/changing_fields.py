"""Fields of batches that change within one DataLoader: their dtype, their rank, the range of some samples."""

import weakref
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, dataloader

from tensorcheck.events.event import Event
from tensorcheck.events.loading import FieldChanged
from tensorcheck.observe.datasets import innermost
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.field_places import field_site
from tensorcheck.observe.loader_names import names_of
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.sample_digests import largest_field
from tensorcheck.observe.sample_ranges import SampleRanges

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators
_MOST_LOOKED_AT = 64
"""Batches whose values are looked at."""

Kind = tuple[torch.dtype, int]


class _Fields:
    """What the fields of one loader were like so far."""

    def __init__(self) -> None:
        self.batches = 0
        self.kinds: dict[tuple[str, ...], dict[str, Kind]] = {}
        """By the names of the fields: batches of different makings are not compared."""
        self.ranges = SampleRanges()
        self.told: set[str] = set()
        self.pending: FieldChanged | None = None
        """What is told when the next batch is asked for: until then the step may crash, and that is explained."""

    def changed(self, fields: dict[str, Tensor]) -> tuple[str, Kind, Kind] | None:
        """The first field that is of another dtype or rank than before, and both."""
        now = {name: (tensor.dtype, tensor.dim()) for name, tensor in fields.items()}
        before = self.kinds.setdefault(tuple(now), now)
        if before == now:
            return None
        name = next(name for name in now if now[name] != before[name])
        is_batch_of_one = any(len(each) == 1 for each in fields.values() if each.dim())
        is_squeezed = now[name][1] != before[name][1] and is_batch_of_one
        return None if is_squeezed or name in self.told else (name, before[name], now[name])


class ChangingFieldProbe(Probe):
    """Hears every batch; the values of the first ones are looked at."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({FieldChanged})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._fields: weakref.WeakKeyDictionary[Any, _Fields] = weakref.WeakKeyDictionary()
        """By the samplers, of which each loader has its own."""

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        iterator = args[0]
        sampler = iterator._index_sampler  # noqa: SLF001 - no public name
        if type(sampler) is not BatchSampler or not self.sink.hears_this_thread():
            return  # who chooses the samples of a batch together may well make batches of different kinds
        if not self.sink.wants_dataset(iterator._dataset):  # noqa: SLF001 - likewise
            return
        known = self._fields.setdefault(sampler, _Fields())
        self._tell(known)
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
            self._look(known, iterator, result)
        known.batches += 1

    def _look(self, known: _Fields, iterator: Any, batch: object) -> None:  # noqa: ANN401 - a private class of torch
        fields = dict(leaves(batch, "batch"))
        changed = known.changed(fields)
        if changed is not None:
            name, before, after = changed
            is_dtype = before[0] != after[0]
            words = [_dtype(each[0]) if is_dtype else f"rank {each[1]}" for each in (before, after)]
            self._keep(known, iterator, name, words, is_dtype=is_dtype)
        if known.batches < _MOST_LOOKED_AT and not known.ranges.is_settled:
            self._look_at_range(known, iterator, fields)

    def _look_at_range(self, known: _Fields, iterator: Any, fields: dict[str, Tensor]) -> None:  # noqa: ANN401 - likewise
        field = largest_field(list(fields.values())[:64])
        if field is None or len(field) == 0:
            return
        ranges = known.ranges
        ranges.add(field)
        if ranges.are_two:
            ranges.is_settled = True
            name = next(name for name, each in fields.items() if each is field)
            words = [f"up to {limit:.4g}" for limit in (ranges.low_limit, ranges.high_limit)]
            self._keep(known, iterator, name, words, is_dtype=None)

    def _keep(
        self,
        known: _Fields,
        iterator: Any,  # noqa: ANN401 - likewise
        name: str,
        words: list[str],
        *,
        is_dtype: bool | None,
    ) -> None:
        known.told.add(name)
        known.pending = FieldChanged(
            step=self.sink.step,
            change="range" if is_dtype is None else "dtype" if is_dtype else "rank",
            field=name,
            dataset=type(innermost(iterator._dataset)).__name__,  # noqa: SLF001 - likewise
            before=words[0],
            after=words[1],
            batch=known.batches,
            made=field_site(iterator, name) or names_of(iterator._index_sampler).data,  # noqa: SLF001 - likewise
            site=self.sink.sites.here(),
        )

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """A pass has come to its end; other probes explain what else is raised."""
        known = self._fields.get(args[0]._index_sampler)  # noqa: SLF001 - likewise
        if known is not None and isinstance(error, StopIteration) and not self.is_off:
            self._tell(known)

    def _tell(self, known: _Fields) -> None:
        pending, known.pending = known.pending, None
        if pending is not None:
            self.sink.emit(pending)


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
