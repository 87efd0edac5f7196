"""Whether numbers fit the dtype that they are cast to or computed in: asked in traced steps alone, for it reads values.

What small integers should be is computed once more in int64, by the same function.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from tensorcheck.events.event import Event
from tensorcheck.events.numbers import CastOverflowed, FractionsCut, IntegersWrapped, MaskInverted, NumbersChanged
from tensorcheck.observe.frames import expression_at, user_frame
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.readable import may_read
from tensorcheck.sites import Site

_CASTS = ("to", "type", "type_as", "byte", "char", "short", "int", "long", "half")
_ARITHMETIC = ("add", "sub", "subtract", "mul", "multiply", "neg", "negative", "rsub", "__rsub__", "sum")
_IN_PLACE = {"add_": "sub", "sub_": "add", "__iadd__": "sub", "__isub__": "add"}
"""What undoes them."""
_INVERSIONS = ("bitwise_not", "__invert__")
_SMALL = (torch.uint8, torch.int8, torch.int16)
"""Wider ones hold what is counted, and wrap in hashes on purpose."""
_INTEGERS = (*_SMALL, torch.int32, torch.int64)
_MOST = 1 << 22
"""How many numbers are looked at; more are left alone."""
_FEWEST = 4
"""Fewer fractions than these may all be 0 by chance."""
_NEARLY_ALL = 0.9
_OF_A_MASK = -65504.0
"""What is cast to -inf from below it stands for it already."""

Look = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any], object], "_Seen | None"]


class _Seen:
    """Numbers as they should be and as they are, where they differ."""

    def __init__(self, kind: type[NumbersChanged], should: Tensor, made: Tensor, given: torch.dtype) -> None:
        differs = should != made
        self.kind, self.should, self.made = kind, should, made
        self.given, self.changed = given, int(differs.sum())
        place = int(differs.reshape(-1).to(torch.uint8).argmax()) if should.numel() else 0
        self.place = place

    def event(self, step: int, site: Site) -> NumbersChanged:
        """As plain numbers."""
        finite = self.should[self.should.isfinite()]
        return self.kind(
            step,
            str(self.given).removeprefix("torch."),
            str(self.made.dtype).removeprefix("torch."),
            changed=self.changed,
            count=self.should.numel(),
            first=float(self.should.reshape(-1)[self.place]),
            became=float(self.made.reshape(-1)[self.place]),
            lowest=float(finite.min()),
            highest=float(finite.max()),
            site=site,
        )


class NumberProbe(Probe):
    """Looks at what casts, small integers and `~` made."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({CastOverflowed, FractionsCut, IntegersWrapped, MaskInverted})

    def attach(self, handles: ExitStack) -> None:
        """Be told of these functions while operations are recorded."""
        recorder = self.sink.tracing.recorder
        for function, look in _looks():
            recorder.read_also(function, partial(self._look, look), handles)

    def _look(
        self,
        look: Look,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: object,
    ) -> None:
        if self.is_off or not self.sink.hears_this_thread() or not may_read():
            return
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - a user's mode must not see us look
                seen = look(function, args, kwargs, result)
                if seen is not None:
                    self._tell(seen)
        except RecursionError:
            raise  # the user's stack is used up: the recorder knows what to do
        except Exception as fault:  # noqa: BLE001 - the recorder, which calls this, goes on without it
            self.fault(fault)

    def _tell(self, seen: _Seen) -> None:
        frame = user_frame()
        if frame is None or _is_meant(expression_at(frame.f_code, frame.f_lasti), seen.kind):
            return
        site = self.sink.sites.at(frame.f_code, frame.f_lasti)
        key = (seen.kind, site.file, site.line, site.code)
        if not self.sink.is_known(key):
            self.sink.emit(seen.event(self.sink.step, site), signature=key)


def _looks() -> Iterator[tuple[Callable[..., Any], Look]]:
    """Each function that is looked at, once, and how."""
    groups: tuple[tuple[tuple[str, ...], Look], ...] = (
        (_CASTS, _cast),
        (_ARITHMETIC, _wrapped),
        (tuple(_IN_PLACE), _wrapped_in_place),
        (_INVERSIONS, _inverted),
        (("__setitem__",), _written),
    )
    for names, look in groups:
        for function in {getattr(owner, name, None) for owner in (Tensor, torch) for name in names}:
            if function is not None and callable(function):
                yield function, look


def _is_meant(node: ast.AST | None, kind: type[NumbersChanged]) -> bool:
    """Whether it is `(fractions * bins).long()`, the number of a bin, 0 or not; or `(word >> 8).byte()`, some bits."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    receiver = node.func.value
    return isinstance(receiver, ast.BinOp) and isinstance(receiver.op, _MEANT.get(kind, ()))


_MEANT: dict[type[NumbersChanged], tuple[type[ast.operator], ...]] = {
    FractionsCut: (ast.Mult, ast.Add, ast.Sub),
    CastOverflowed: (ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor),
}


def _can_be_read(tensor: Tensor) -> bool:
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout is torch.strided
    return is_plain and not tensor.is_meta and not tensor.is_nested and 0 < tensor.numel() <= _MOST


def _cast(_: Callable[..., Any], args: tuple[Any, ...], __: dict[str, Any], result: object) -> _Seen | None:
    given = args[0] if args else None
    if not isinstance(given, Tensor) or not isinstance(result, Tensor) or given.dtype is result.dtype:
        return None
    if not (_can_be_read(given) and _can_be_read(result)) or given.is_complex() or given.dtype is torch.bool:
        return None
    if result.dtype is torch.float16:
        return _beyond_half(given, result)
    return _beyond_integers(given, result) if result.dtype in _INTEGERS else None


def _beyond_half(given: Tensor, result: Tensor) -> _Seen | None:
    lost = result.isinf() & given.isfinite()
    if not bool(lost.any()) or not bool((given[lost] > _OF_A_MASK).any()):
        return None
    return _Seen(CastOverflowed, given.to(torch.float64), result, given.dtype)


def _beyond_integers(given: Tensor, result: Tensor) -> _Seen | None:
    if not given.is_floating_point():
        is_narrower = result.element_size() < given.element_size()
        seen = _Seen(CastOverflowed, given, result, given.dtype) if is_narrower else None
        return seen if seen is not None and seen.changed else None
    whole, limits = given.to(torch.float64), torch.iinfo(result.dtype)
    if not bool(whole.isfinite().all()):
        return None
    is_beyond = (whole.trunc() < limits.min) | (whole.trunc() > limits.max)
    if bool(is_beyond.any()):
        return _Seen(CastOverflowed, whole.trunc(), result, given.dtype)
    return None if given.requires_grad else _cut(whole, result, given.dtype)


def _cut(fractions: Tensor, result: Tensor, given: torch.dtype) -> _Seen | None:
    """Numbers between -1 and 1 of which nearly all were cut off to 0, unless they are but few or all the same."""
    is_cut = fractions != fractions.trunc()
    if bool((fractions.abs() > 1).any()) or is_cut.sum() < max(_FEWEST, _NEARLY_ALL * fractions.numel()):
        return None
    is_alike = bool((fractions == fractions.reshape(-1)[0]).all())
    return None if is_alike else _Seen(FractionsCut, fractions, result, given)


def _written(_: Callable[..., Any], args: tuple[Any, ...], __: dict[str, Any], ___: object) -> _Seen | None:
    """`labels[i] = 0.7` where the labels are integers."""
    into, value = args[0], args[2]
    if not isinstance(into, Tensor) or into.dtype not in _INTEGERS:
        return None
    if isinstance(value, Tensor) and not (_can_be_read(value) and value.is_floating_point()):
        return None
    if not isinstance(value, Tensor | float):
        return None
    given = value.dtype if isinstance(value, Tensor) else torch.get_default_dtype()
    fractions = torch.as_tensor(value).detach().to("cpu", torch.float64)
    is_cut = (fractions != fractions.trunc()) & fractions.isfinite()
    is_lost = bool(is_cut.any()) and is_cut.sum() >= _NEARLY_ALL * fractions.numel()
    is_small = bool((fractions.abs() <= 1).all())
    return _Seen(FractionsCut, fractions, fractions.trunc().to(into.dtype), given) if is_lost and is_small else None


def _wrapped(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: object
) -> _Seen | None:
    if not isinstance(result, Tensor) or result.dtype not in _SMALL or "out" in kwargs:
        return None
    if not all(_can_be_read(each) for each in (result, *args) if isinstance(each, Tensor)):
        return None
    exact = function(*[_widened(each) for each in args], **{**kwargs, **_as_wide(kwargs)})
    seen = _Seen(IntegersWrapped, exact, result, result.dtype) if exact.dtype is torch.int64 else None
    return seen if seen is not None and seen.changed else None


def _wrapped_in_place(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: object
) -> _Seen | None:
    """What was there before is what undoes it; where that does not fit into the dtype, it wrapped."""
    if not isinstance(result, Tensor) or result.dtype not in _SMALL or kwargs or not _can_be_read(result):
        return None
    other = _widened(args[1])
    if isinstance(other, float) or (isinstance(other, Tensor) and not _undoes(other, result)):
        return None
    name, limits = function.__name__, torch.iinfo(result.dtype)
    before = getattr(torch, _IN_PLACE[name])(result.long(), other)
    turn = limits.max - limits.min + 1
    should = result.long() + turn * ((before < limits.min).long() - (before > limits.max).long())
    seen = _Seen(IntegersWrapped, should, result, result.dtype)
    return seen if seen.changed else None


def _undoes(other: Tensor, result: Tensor) -> bool:
    return other.dtype is torch.int64 and other is not result and _can_be_read(other)


def _widened(value: object) -> Any:  # noqa: ANN401 - whatever a function of torch takes
    is_integer = isinstance(value, Tensor) and value.dtype in _INTEGERS
    return value.long() if is_integer and isinstance(value, Tensor) else value


def _as_wide(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keywords that say what dtype the result has, or hold another operand."""
    wide = {name: _widened(value) for name, value in kwargs.items()}
    return {**wide, **({"dtype": torch.int64} if "dtype" in kwargs else {})}


def _inverted(_: Callable[..., Any], args: tuple[Any, ...], __: dict[str, Any], result: object) -> _Seen | None:
    mask = args[0] if args else None
    if not isinstance(mask, Tensor) or not isinstance(result, Tensor) or mask.dtype not in _INTEGERS:
        return None
    if not _can_be_read(mask) or mask.numel() < _FEWEST or {*mask.unique().tolist()} != {0, 1}:
        return None
    return _Seen(MaskInverted, 1 - mask.long(), result, mask.dtype)
