"""Real numbers that a model computed, compared for equality with others; looked at in traced steps and evaluations."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tensorcheck.events.event import Event
from tensorcheck.events.numbers import NeverEqual
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.raw_steps import RawStep
from tensorcheck.observe.readable import may_read
from tensorcheck.trace import Origin

_COMPARISONS = ("eq", "__eq__", "ne", "__ne__", "not_equal")
_FEWEST, _MOST = 8, 1 << 22
_FRACTIONS = 0.9
"""The share of what a model computed that has to be no whole number: rounded and thresholded ones are compared."""
_FARTHEST = 20_000
"""Values that are gone through on the way back to a parameter."""


class EqualityProbe(Probe):
    """Looks at `==` and `!=` while operations are recorded."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({NeverEqual})

    def attach(self, handles: ExitStack) -> None:
        """Be told of these functions while operations are recorded."""
        recorder = self.sink.tracing.recorder
        for function in {
            getattr(owner, name) for owner in (Tensor, torch) for name in _COMPARISONS if hasattr(owner, name)
        }:
            recorder.read_also(function, self._quietly, handles)

    def _quietly(
        self,
        function: Callable[..., Any],  # noqa: ARG002 - each reader is given it
        args: tuple[Any, ...],
        kwargs: dict[str, Any],  # noqa: ARG002 - likewise
        result: object,  # noqa: ARG002 - likewise
    ) -> None:
        if self.is_off or not self.sink.hears_this_thread() or len(args) < 2 or not may_read():  # noqa: PLR2004 - both
            return
        left, right = args[0], args[1]
        if not _can_be_read(left) or not _can_be_read(right) or left.shape != right.shape or left is right:
            return
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - a user's mode must not see us look
                self._look(left, right)
        except RecursionError:
            raise  # the user's stack is used up: the recorder knows what to do
        except Exception as fault:  # noqa: BLE001 - the recorder, which calls this, goes on without it
            self.fault(fault)

    def _look(self, left: Tensor, right: Tensor) -> None:
        if bool((left == right).any()):
            return
        raw, is_of_left = self.sink.tracing.recorder.recorded, self._is_of_model(left)
        if is_of_left == self._is_of_model(right) or not raw.operations:
            return
        computed, other = (left, right) if is_of_left else (right, left)
        share = float((computed != computed.trunc()).float().mean()) if computed.is_floating_point() else 0.0
        site = self.sink.sites.here()
        if share < _FRACTIONS or not bool(other.any()) or site is None:
            return
        key = ("equality", site.file, site.line, site.code)
        if not self.sink.is_known(key):
            event = NeverEqual(self.sink.step, left.numel(), tensor_meta(computed), tensor_meta(other), site)
            self.sink.emit(event, signature=key)

    def _is_of_model(self, tensor: Tensor) -> bool:
        """Whether a parameter went into it, in this step or the one before."""
        recorder = self.sink.tracing.recorder
        place = recorder.place_of(tensor)
        if place is None:
            return False
        sources = list(_sources(recorder.recorded, place))
        earlier = recorder.recorded.earlier
        before = (
            each
            for source in sources
            if source in earlier
            for each in _sources(recorder.recorded_before, earlier[source])
        )
        return _has_parameter(recorder.recorded, sources) or _has_parameter(recorder.recorded_before, before)


def _sources(raw: RawStep, place: int) -> Iterator[int]:
    """The values that no operation made and that went into one."""
    seen, waiting = {place}, [place]
    while waiting and len(seen) < _FARTHEST:
        at = waiting.pop()
        made = raw.values[at].operation
        if made is None:
            yield at
            continue
        before = [each for each in raw.operations[made].inputs if each not in seen]
        waiting += before
        seen.update(before)


def _has_parameter(raw: RawStep, places: Iterable[int]) -> bool:
    return any(raw.values[place].origin is Origin.PARAMETER for place in places)


def _can_be_read(value: object) -> bool:
    if not isinstance(value, Tensor) or type(value) not in (Tensor, nn.Parameter) or value.layout is not torch.strided:
        return False
    is_real = not value.is_complex() and value.dtype is not torch.bool
    return is_real and not value.is_meta and not value.is_nested and _FEWEST <= value.numel() <= _MOST
