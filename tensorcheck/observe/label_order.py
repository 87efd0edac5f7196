"""The order of the labels of a DataLoader that does not shuffle, for as long as they come class by class."""

import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, SequentialSampler, dataloader

from tensorcheck.events.event import Event
from tensorcheck.events.passes import LabelsSorted
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.loader_names import names_of
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators
_LABELS = frozenset({"label", "labels", "target", "targets", "y", "cls", "class", "classes"})
_FEWEST_CLASSES, _FEWEST_SAMPLES = 2, 16
"""Below these a pass says nothing."""
_SURE_CLASSES, _SURE_SAMPLES = 3, 32
"""From these on the rest of the pass needs no look."""
_SAMPLES_A_CLASS = 4
"""Fewer than these on average are no classes, but numbers that count up."""


class _Order:
    """What was seen of the labels in one pass."""

    def __init__(self, backwards: int) -> None:
        self.backwards = backwards
        self.field = ""
        self.classes: list[float] = []
        self.samples = self.batches = self.constant = 0

    def add(self, field: str, labels: Tensor) -> bool:
        """One more batch; False if its labels are not the next in such an order."""
        found = labels.detach().reshape(-1).unique_consecutive().tolist()
        new = found[1:] if self.classes and found[0] == self.classes[-1] else found
        if {*new} & {*self.classes} or len({*new}) < len(new) or any(label % 1 for label in new):
            return False
        self.field, self.classes = field, self.classes + new
        self.samples, self.batches = self.samples + labels.numel(), self.batches + 1
        self.constant += len(found) == 1
        return True

    def is_sorted(self, classes: int, samples: int) -> bool:
        """Whether it saw as many classes and samples, and some batch with one class alone."""
        many = len(self.classes) >= classes and self.samples >= samples and self.batches >= classes
        return many and self.constant > 0 and self.samples >= _SAMPLES_A_CLASS * len(self.classes)


class LabelOrderProbe(Probe):
    """Hears batches until their labels are out of order, which those of a shuffled dataset are in the first."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({LabelsSorted})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._orders: weakref.WeakKeyDictionary[Any, _Order] = weakref.WeakKeyDictionary()
        self._settled: weakref.WeakSet[Any] = weakref.WeakSet()
        """The samplers of which all is known."""

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        iterator = args[0]
        sampler = iterator._index_sampler  # noqa: SLF001 - no public name
        if not _is_sequential(sampler) or sampler in self._settled or not self.sink.hears_this_thread():
            return
        if not self.sink.wants_dataset(iterator._dataset):  # noqa: SLF001 - likewise
            return
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
            self._add(iterator, sampler, result)

    def _add(self, iterator: Any, sampler: object, batch: object) -> None:  # noqa: ANN401 - a private class of torch
        order = self._orders.get(iterator)
        if order is None:
            order = self._orders[iterator] = _Order(self.sink.backwards)
        field, labels = next(_labels(batch), ("", None))
        if labels is None or not order.add(field, labels):
            self._settled.add(sampler)
        elif order.is_sorted(_SURE_CLASSES, _SURE_SAMPLES):
            self._judge(order, sampler)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """A pass has come to its end; other probes explain what else is raised."""
        order = self._orders.pop(args[0], None)
        sampler = args[0]._index_sampler  # noqa: SLF001 - likewise
        is_over = isinstance(error, StopIteration) and not self.is_off
        is_sorted = is_over and order is not None and order.is_sorted(_FEWEST_CLASSES, _FEWEST_SAMPLES)
        if order is not None and is_sorted and sampler not in self._settled:
            self._judge(order, sampler)

    def _judge(self, order: _Order, sampler: Any) -> None:  # noqa: ANN401 - any class of a user's
        if self.sink.backwards == order.backwards:
            return
        self._settled.add(sampler)
        names = names_of(sampler)
        event = LabelsSorted(
            step=self.sink.step,
            loader=names.name,
            field=order.field,
            classes=tuple(str(int(label)) for label in order.classes),
            samples=order.samples,
            batches=order.batches,
            constant=order.constant,
            built=names.built,
            site=self.sink.sites.here(),
        )
        self.sink.emit(event)


def _is_sequential(sampler: object) -> bool:
    inner = sampler.sampler if type(sampler) is BatchSampler else sampler
    return type(inner) is SequentialSampler


def _labels(batch: object) -> Iterator[tuple[str, Tensor]]:
    """The field of a batch that looks like labels: by its key or, where none has one, the last of several."""
    fields = list(leaves(batch, "batch"))
    named = [each for each in fields if each[0].rpartition("[")[2].strip("]\"'") in _LABELS]
    is_keyed = any('"' in name for name, _ in fields)
    for name, tensor in named or ([] if is_keyed else fields[1:][-1:]):
        is_column = tensor.dim() == 1 or (tensor.dim() == 2 and tensor.shape[1] == 1)  # noqa: PLR2004 - `[batch, 1]`
        if is_column and tensor.numel() and tensor.device.type == "cpu" and not tensor.is_complex():
            yield name, tensor
