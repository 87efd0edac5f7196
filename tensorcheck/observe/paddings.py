"""Which tensors of the first steps are padded: ids that go into an embedding, and fields of batches; reads values."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import dataloader

from tensorcheck.events.event import Event
from tensorcheck.events.loading import PaddingSeen
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.field_places import field_site
from tensorcheck.observe.padding import Padding, padding_of
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.readable import may_read

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators


class PaddingProbe(Probe):
    """Looks at batches and at what embeddings are given, until the first step."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({PaddingSeen})

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base, and be told of embeddings while operations are recorded."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))
        reading = self.sink.tracing.recorder.reading
        for function in (functional.embedding, torch._C._nn.pad_sequence):  # noqa: SLF001 - what a mode sees
            reading[function] = self._made
            handles.callback(reading.pop, function, None)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        if self.sink.step or not self.sink.hears_this_thread() or not self.sink.tracing.is_open:
            return
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
            for name, tensor in leaves(result, "batch"):
                padding = padding_of(tensor) if tensor.device.type == "cpu" else None
                if padding is not None:
                    self._tell(padding, None, name, args[0])

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain it."""

    def _made(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: object
    ) -> None:
        if self.is_off or self.sink.step or not self.sink.hears_this_thread() or not may_read():
            return
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - likewise
                if function is functional.embedding:
                    self._embedded(args, kwargs)
                elif isinstance(result, Tensor):
                    self._look(result, None)
        except RecursionError:
            raise  # the user's stack is used up: the recorder knows what to do
        except Exception as fault:  # noqa: BLE001 - the recorder, which calls this, goes on without it
            self.fault(fault)

    def _embedded(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids, weight = args[0], args[1] if len(args) > 1 else kwargs.get("weight")
        pad = args[2] if len(args) > 2 else kwargs.get("padding_idx")  # noqa: PLR2004 - the third parameter
        if isinstance(ids, Tensor) and isinstance(weight, Tensor):
            self._look(ids, pad % len(weight) if pad is not None else None)

    def _look(self, tensor: Tensor, pad: int | None) -> None:
        place = self.sink.tracing.recorder.place_of(tensor)
        swapped = tensor.transpose(0, 1) if tensor.dim() > 1 else tensor
        for each in (tensor, swapped):
            padding = padding_of(each, pad) if place is not None else None
            if padding is not None:
                self._tell(padding, place, "", None)
                return

    def _tell(self, padding: Padding, place: int | None, name: str, iterator: object) -> None:
        event = PaddingSeen(
            step=self.sink.step,
            value=place,
            name=name,
            samples=padding.samples,
            length=padding.length,
            padding=padding.padding,
            pad=f"{padding.pad:g}",
            made=field_site(iterator, name) if name else None,
        )
        self.sink.emit(event)
