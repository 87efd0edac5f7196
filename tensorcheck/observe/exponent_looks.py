"""Exponentials of the user's own lines that are about to leave their dtype; looked at in traced steps."""

import math
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor

from tensorcheck.events.event import Event
from tensorcheck.events.numbers import NearlyOverflowed
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.raw_steps import name_of
from tensorcheck.observe.readable import may_read

_FUNCTIONS = ("exp", "exp_", "cosh", "cosh_", "sinh", "sinh_")
_OWN = re.compile(r"\b(exp|cosh|sinh)_?\(")
_NEAR = {torch.float32: 1e-8, torch.bfloat16: 1e-8, torch.float16: 0.3, torch.float64: 1e-30}
"""The part of its dtype's largest number above which a result is close to it."""
_GUARDS = frozenset({"clamp", "clamp_", "clip", "clip_", "clamp_max", "minimum", "hardtanh"})
_MOST = 1 << 22


class ExponentProbe(Probe):
    """Looks at what exponentials return while operations are recorded."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({NearlyOverflowed})

    def attach(self, handles: ExitStack) -> None:
        """Be told of these functions while operations are recorded."""
        recorder = self.sink.tracing.recorder
        for function in {
            getattr(owner, name) for owner in (Tensor, torch) for name in _FUNCTIONS if hasattr(owner, name)
        }:
            recorder.read_also(function, self._quietly, handles)

    def _quietly(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],  # noqa: ARG002 - each reader is given them
        kwargs: dict[str, Any],  # noqa: ARG002 - likewise
        result: object,
    ) -> None:
        if self.is_off or type(result) is not Tensor or not _can_be_read(result):
            return
        if not self.sink.hears_this_thread() or not may_read():
            return
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - a user's mode must not see us look
                self._look(name_of(function).rstrip("_"), result)
        except RecursionError:
            raise  # the user's stack is used up: the recorder knows what to do
        except Exception as fault:  # noqa: BLE001 - the recorder, which calls this, goes on without it
            self.fault(fault)

    def _look(self, name: str, result: Tensor) -> None:
        highest, limit = float(result.abs().max()), torch.finfo(result.dtype).max
        if not math.isfinite(highest) or highest <= _NEAR[result.dtype] * limit or self._is_guarded(result):
            return
        site = self.sink.sites.here()
        if site is None or not _OWN.search(site.code):
            return
        key = ("exponent", site.file, site.line, site.code)
        if not self.sink.is_known(key):
            dtype = str(result.dtype).removeprefix("torch.")
            event = NearlyOverflowed(self.sink.step, name, dtype, math.log(highest), highest, math.log(limit), site)
            self.sink.emit(event, signature=key)

    def _is_guarded(self, result: Tensor) -> bool:
        """Whether what it was given had been bounded."""
        recorder = self.sink.tracing.recorder
        place, raw = recorder.place_of(result), recorder.recorded
        made = raw.values[place].operation if place is not None else None
        given = next(iter(raw.operations[made].inputs), None) if made is not None else None
        before = raw.values[given].operation if given is not None else None
        return before is not None and name_of(raw.operations[before].function) in _GUARDS


def _can_be_read(result: Tensor) -> bool:
    is_plain = result.layout is torch.strided and not result.is_meta and not result.is_nested
    return is_plain and result.dtype in _NEAR and 0 < result.numel() <= _MOST
