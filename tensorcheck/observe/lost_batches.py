"""Batches that hold no numbers: looked at only when a loss is lost, so that a healthy run pays nothing for it."""

import weakref
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import dataloader

from tensorcheck.events.loading import BatchNotFinite
from tensorcheck.observe.batch_indices import BatchIndices
from tensorcheck.observe.datasets import innermost
from tensorcheck.observe.describe import leaves, tensor_meta
from tensorcheck.observe.field_places import field_site
from tensorcheck.observe.loader_names import names_of
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Sink
from tensorcheck.sites import Site

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators


class LastBatch(Listener):
    """Remembers the fields of the batch that came last, for as long as the user holds them."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._indices = BatchIndices(sink)
        self._fields: dict[str, weakref.ref[Tensor]] = {}
        self._iterator: weakref.ref[Any] | None = None
        self._site: Site | None = None

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "_next_index", self._indices))
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        if not self._sink.hears_this_thread() or not self._sink.wants_dataset(args[0]._dataset):  # noqa: SLF001 - no public name
            return
        self._fields = {name: weakref.ref(each) for name, each in leaves(result, "batch")}
        self._iterator = weakref.ref(args[0])

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes hear of it."""

    def lost(self) -> BatchNotFinite | None:
        """The first field with NaN or infinity in it, as far as the batch is still there and on the CPU."""
        for name, reference in self._fields.items():
            tensor = reference()
            if tensor is not None and _may_be_read(tensor) and not bool(torch.isfinite(tensor).all()):
                return self._event(name, tensor.detach())
        return None

    def _event(self, name: str, tensor: Tensor) -> BatchNotFinite | None:
        iterator = self._iterator() if self._iterator is not None else None
        if iterator is None:
            return None
        bad = ~torch.isfinite(tensor)
        rows = bad.reshape(bad.size(0), -1).any(1).nonzero().flatten().tolist() if tensor.dim() else []
        samples = self._indices.of(iterator)
        return BatchNotFinite(
            step=self._sink.step,
            field=name,
            meta=tensor_meta(tensor),
            kinds=tuple(_kinds(tensor)),
            count=int(bad.sum()),
            first=tuple(bad.nonzero()[0].tolist()) if tensor.dim() else (),
            samples=tuple(samples[row] for row in rows) if len(samples) == tensor.shape[:1].numel() else (),
            rows=tuple(rows),
            dataset=type(innermost(iterator._dataset)).__name__,  # noqa: SLF001 - likewise
            made=field_site(iterator, name) or names_of(iterator._index_sampler).data,  # noqa: SLF001 - likewise
            site=self._sink.sites.here(),
        )

    def fault(self, error: Exception) -> None:
        """Batches are not looked at."""
        self._sink.fault(self, error)


def _may_be_read(tensor: Tensor) -> bool:
    is_plain = tensor.device.type == "cpu" and tensor.layout is torch.strided
    return is_plain and (tensor.is_floating_point() or tensor.is_complex())


def _kinds(tensor: Tensor) -> list[str]:
    found = []
    if bool(tensor.isnan().any()):
        found.append("NaN")
    if bool(tensor.isinf().any()):
        found.append("infinity")
    return found
