"""Divisions and logarithms of the user's own lines whose operand is zero or nearly so; looked at in traced steps.

Where the result is in autograd's graph and not finite, what looks for the first NaN finds it there. Here are those that
have no gradient, as of a batch that is normalised in the loop, and those that are about to blow up: finite still.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from tensorcheck.events.event import Event
from tensorcheck.events.numeric import ZeroMet
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.raw_steps import name_of
from tensorcheck.observe.readable import may_read, may_read_outside
from tensorcheck.observe.saved_values import AnyNode, first_not_finite, nodes_of, saved_of
from tensorcheck.sites import Site

_DIVISIONS = ("div", "divide", "true_divide", "__truediv__", "reciprocal", "rsqrt", "__rtruediv__", "__rdiv__")
_LOGARITHMS = ("log", "log2", "log10")
_SPREADS = ("std", "var")
_MOST = 1 << 22
_TINY_DIVISOR, _TINY_IN_LOG = 1e-12, 1e-20
"""Below this an operand is zero but for rounding; a small number that guards against zero is larger."""
_BESIDE = 1e-6
"""A part of the largest one: where all are as small, that is what the numbers are like."""
_LARGE = 1e6
_ORDINARY = 1e4
_OWN = {
    **dict.fromkeys(_DIVISIONS, re.compile(r"/|div|reciprocal|rsqrt")),
    **dict.fromkeys(_LOGARITHMS, re.compile(r"\blog(2|10)?_?\(")),
    **dict.fromkeys(_SPREADS, re.compile(r"\b(std|var)(_mean)?\(")),
}
"""What the line says, where it is its own operation and not one of a function that it calls."""
_OF_PROBABILITIES = frozenset({"softmax", "sigmoid"})


class _Lost(NamedTuple):
    function: str
    lowest: float
    zeros: int
    size: int
    site: Site


class ZeroProbe(Probe):
    """Looks at operands and results."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ZeroMet})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._lost: _Lost | None = None
        """The first operation without a gradient that made something not finite in the step."""
        self._step = -1

    def attach(self, handles: ExitStack) -> None:
        """Be told of these functions while operations are recorded, and of each `backward`."""
        recorder = self.sink.tracing.recorder
        names = (*_DIVISIONS, *_LOGARITHMS, *_SPREADS)
        for function in {getattr(owner, name) for owner in (Tensor, torch) for name in names if hasattr(owner, name)}:
            recorder.read_also(function, self._quietly, handles)
        handles.enter_context(PATCHES.patch_attribute(torch.autograd, "backward", self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A loss is about to be differentiated, and may have been lost by what has no gradient."""
        lost, self._lost = self._lost, None
        if lost is None or self.sink.step != self._step or not self.sink.hears_this_thread() or not may_read_outside():
            return
        given = args[0] if args else kwargs.get("tensors")
        roots = [each for each in (given if isinstance(given, tuple | list) else [given]) if isinstance(each, Tensor)]
        with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - a user's mode must not see us look
            is_lost = any(not bool(root.isfinite().all()) for root in roots if not root.is_meta)
            if is_lost and _is_lost_by_data(first_not_finite(nodes_of(roots))):
                self.sink.emit(ZeroMet(self.sink.step, True, *lost))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Another probe explains it."""

    def _quietly(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: object
    ) -> None:
        if self.is_off or not self.sink.hears_this_thread() or not may_read():
            return
        operands = [each for each in (*args, *kwargs.values()) if isinstance(each, Tensor)]
        if not _can_be_read(result) or not operands or not all(_can_be_read(each) for each in operands):
            return
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - likewise
                self._look(name_of(function), args, operands, result)  # type: ignore[arg-type]  # it can be read
        except RecursionError:
            raise  # the user's stack is used up: the recorder knows what to do
        except Exception as fault:  # noqa: BLE001 - the recorder, which calls this, goes on without it
            self.fault(fault)

    def _look(self, name: str, args: tuple[Any, ...], operands: Sequence[Tensor], result: Tensor) -> None:
        if self._step != self.sink.step:
            self._step, self._lost = self.sink.step, None
        largest = float(result.abs().max())
        if not _is_finite(largest):
            if (
                not result.requires_grad
                and self._lost is None
                and all(bool(each.isfinite().all()) for each in operands)
            ):
                self._lost = self._seen(name, _divisor(name, args) if name not in _SPREADS else operands[0])
        elif name in _DIVISIONS and largest > _LARGE:
            self._near_division(name, args)
        elif name in _LOGARITHMS and result.requires_grad:
            self._near_logarithm(name, operands[0])

    def _near_division(self, name: str, args: tuple[Any, ...]) -> None:
        divisor = _divisor(name, args)
        others = [each for each in args if isinstance(each, Tensor) and each is not divisor]
        if divisor is None or any(float(each.abs().max()) > _ORDINARY for each in others):
            return
        lowest, highest = torch.stack(divisor.double().abs().aminmax()).tolist()
        if lowest < _TINY_DIVISOR and lowest < _BESIDE * highest:
            self._tell(name, divisor)

    def _near_logarithm(self, name: str, operand: Tensor) -> None:
        if float(operand.min()) < _TINY_IN_LOG and self._maker_of(operand) not in _OF_PROBABILITIES:
            self._tell(name, operand)

    def _maker_of(self, tensor: Tensor) -> str:
        recorder = self.sink.tracing.recorder
        place = recorder.place_of(tensor)
        made = recorder.recorded.values[place].operation if place is not None else None
        return name_of(recorder.recorded.operations[made].function) if made is not None else ""

    def _tell(self, name: str, operand: Tensor) -> None:
        seen = self._seen(name, operand)
        if seen is not None:
            self.sink.emit(ZeroMet(self.sink.step, False, *seen))

    def _seen(self, name: str, operand: Tensor | None) -> _Lost | None:
        site = self.sink.sites.here()
        if site is None or operand is None or not _OWN[name].search(site.code):
            return None
        zeros = int((operand == 0).sum())
        return _Lost(name.strip("_"), float(operand.abs().min()), zeros, operand.numel(), site)


def _is_lost_by_data(culprit: AnyNode | None) -> bool:
    """Whether no operation of the graph made a NaN of finite numbers; here minus infinity counts as none."""
    return culprit is None or any(not bool(each.tensor.isfinite().all()) for each in saved_of(culprit))


def _is_finite(number: float) -> bool:
    return number == number and number != float("inf")  # noqa: PLR0124 - NaN is not itself


def _can_be_read(value: object) -> bool:
    if not isinstance(value, Tensor) or type(value) not in (Tensor, nn.Parameter) or value.layout is not torch.strided:
        return False
    is_real = value.dtype in (torch.float32, torch.float64) or not (value.is_floating_point() or value.is_complex())
    return is_real and not value.is_meta and not value.is_nested and 0 < value.numel() <= _MOST


def _divisor(name: str, args: tuple[Any, ...]) -> Tensor | None:
    """What stands below the line, or in the logarithm."""
    is_first = name in ("reciprocal", "rsqrt", "__rtruediv__", "__rdiv__", *_LOGARITHMS) or len(args) == 1
    given = args[0] if is_first else args[1]
    return given if isinstance(given, Tensor) else None
