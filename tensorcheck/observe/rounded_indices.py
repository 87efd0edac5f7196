"""Whole numbers that went through a dtype which can't tell them apart, and became integers again; asked of values.

bfloat16 holds each whole number up to 256, float16 up to 2048, float32 up to 16777216; beyond, only each second, fourth
and so on.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor

from tensorcheck.events.event import Event
from tensorcheck.events.numbers import IndicesRounded
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.raw_steps import RawOperation, RawStep, name_of
from tensorcheck.observe.readable import may_read
from tensorcheck.sites import Site
from tensorcheck.trace import Origin

_CASTS = ("long", "int", "to", "type", "type_as")
_EXACT = {torch.bfloat16: 2**8, torch.float16: 2**11, torch.float32: 2**24}
_INTEGERS = (torch.int32, torch.int64)
_FEWEST, _MOST = 4, 1 << 22
_FEWEST_OF_CAST = 2
"""Of numbers that were integers before: a single one may stand for none."""
_PASSING = frozenset(
    {
        *("__getitem__", "select", "index_select", "squeeze", "unsqueeze", "view", "reshape", "flatten", "contiguous"),
        *("clone", "detach", "t", "T", "transpose", "permute", "to", "float", "half", "bfloat16", "type", "type_as"),
        *("cat", "concat", "stack", "hstack", "vstack", "column_stack", "unbind", "split", "chunk", "round", "expand"),
    }
)
"""What leaves a number as it is, but for its dtype."""
_FARTHEST = 64


class RoundedIndexProbe(Probe):
    """Looks at casts to integers while operations are recorded."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({IndicesRounded})

    def attach(self, handles: ExitStack) -> None:
        """Be told of these functions while operations are recorded."""
        recorder = self.sink.tracing.recorder
        for name in _CASTS:
            recorder.read_also(getattr(Tensor, name), self._quietly, handles)

    def _quietly(
        self,
        function: Callable[..., Any],  # noqa: ARG002 - each reader is given it
        args: tuple[Any, ...],
        kwargs: dict[str, Any],  # noqa: ARG002 - likewise
        result: object,
    ) -> None:
        if self.is_off or not isinstance(result, Tensor) or result.dtype not in _INTEGERS or not args:
            return
        given = args[0]
        if not _can_be_read(given) or not self.sink.hears_this_thread() or not may_read():
            return
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - a user's mode must not see us look
                self._look(given)
        except RecursionError:
            raise  # the user's stack is used up: the recorder knows what to do
        except Exception as fault:  # noqa: BLE001 - the recorder, which calls this, goes on without it
            self.fault(fault)

    def _look(self, given: Tensor) -> None:
        exact = _EXACT[given.dtype]
        beyond = given[given.abs() > exact]
        different = beyond.unique().numel()
        if different < _FEWEST_OF_CAST or not bool((given == given.trunc()).all()):
            return
        recorder = self.sink.tracing.recorder
        place, site = recorder.place_of(given), self.sink.sites.here()
        if place is None or site is None:
            return
        raw = recorder.recorded
        ends = list(_ends(raw, place))
        cast = next((made for _, made in ends if made is not None), None)
        is_of_batch = any(raw.values[end].origin is Origin.BATCH for end, _ in ends)
        if cast is None and (not is_of_batch or different < _FEWEST):
            return
        made = self.sink.sites.at(cast.code, cast.instruction) if cast is not None and cast.code is not None else None
        self._tell(given, exact, int(beyond.numel()), made, site)

    def _tell(self, given: Tensor, exact: int, beyond: int, made: Site | None, site: Site) -> None:
        key = ("rounded", site.file, site.line, site.code)
        if not self.sink.is_known(key):
            event = IndicesRounded(
                self.sink.step,
                dtype=str(given.dtype).removeprefix("torch."),
                exact=exact,
                beyond=beyond,
                count=given.numel(),
                highest=float(given.abs().max()),
                made=made,
                site=site,
            )
            self.sink.emit(event, signature=key)


def _ends(raw: RawStep, place: int) -> Iterator[tuple[int, RawOperation | None]]:
    """Where the numbers come from, with the cast that made them real of integers, where that was seen."""
    waiting, seen = [place], 0
    while waiting and seen < _FARTHEST:
        at, seen = waiting.pop(), seen + 1
        made = raw.values[at].operation
        if made is None or raw.values[at].origin is Origin.BATCH:
            yield at, None
            continue
        operation = raw.operations[made]
        if name_of(operation.function) not in _PASSING or not operation.inputs:
            continue
        before = [each for each in operation.inputs if raw.values[each].dtype is not torch.bool]
        if not raw.values[before[0]].dtype.is_floating_point:
            yield at, operation
        else:
            waiting += before


def _can_be_read(value: object) -> bool:
    is_plain = type(value) is Tensor and value.layout is torch.strided and not value.requires_grad
    if not is_plain or not isinstance(value, Tensor) or value.dtype not in _EXACT:
        return False
    return not value.is_meta and not value.is_nested and _FEWEST <= value.numel() <= _MOST
