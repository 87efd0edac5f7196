"""The line of a dataset's own code from which on a part of one sample looked as it does, and that of another did not.

Both samples are made once more, line by line. What they have in common, such as a label of the same shape, is passed
over: a place counts where one sample has a value of this look and the other has none.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Literal, NamedTuple

from tensorcheck.loading import FirstLook, Mismatch, Value
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.replaying import replayed
from tensorcheck.observe.samples import value_meta
from tensorcheck.observe.undisturbed import RandomState
from tensorcheck.sites import Site

_MOST = 4000
"""Values that are looked at of one sample."""


class Draw(NamedTuple):
    """A sample that can be made once more."""

    index: Any
    state: RandomState | None
    """Where the random numbers stand before it; None where they are not known."""


def first_look(dataset: Any, odd: Draw, other: Draw, wanted: Value, mismatch: Mismatch) -> FirstLook | None:  # noqa: ANN401
    """Where a sample first holds a value that looks like this one, under a name that in the other never does.

    Where that is no earlier than the dataset hands it out, a value of the same sizes will do: `wave` before
    `wave.unsqueeze(0)`.
    """
    met = None
    for kind in _KINDS.get(mismatch, ()):
        if met is None or _is_handed_out(*met[:2]):
            met = _first_met(dataset, odd, other, _look_of(wanted, kind)) or met
    site = _site(*met[0]) if met is not None else None
    return FirstLook(site, met[2]) if met is not None and site is not None else None


_RETURN = "return"
_Kind = Literal["shape", "sizes", "length", "type"]
_KINDS: Mapping[Mismatch, tuple[_Kind, ...]] = {"shape": ("shape", "sizes"), "length": ("length",), "type": ("type",)}
_Look = Callable[[Value], bool]
_Place = tuple[str, str, int]
_Holder = tuple[str, str, str]
"""A name of a function, or what it returns."""


def _is_handed_out(place: _Place, holder: _Holder) -> bool:
    """Whether it is what the dataset itself returns, which is where everybody sees it."""
    return place[1].endswith("__getitem__") and holder[2].startswith(_RETURN)


def _first_met(dataset: Any, odd: Draw, other: Draw, look: _Look) -> tuple[_Place, _Holder, Value] | None:  # noqa: ANN401
    mine, its = _Looks(look), _Looks(look)
    replayed(dataset, odd.index, mine.ended, odd.state)
    if mine.met:
        replayed(dataset, other.index, its.ended, other.state)
    usual = {holder for _, holder in its.met}
    return next(((*met, value) for met, value in mine.met.items() if met[1] not in usual and its.has_ended), None)


class _Looks:
    """Where something of a certain look was held while one sample was made, in the order in which the lines ran."""

    def __init__(self, look: _Look) -> None:
        self._is_such = look
        self.met: dict[tuple[_Place, _Holder], Value] = {}
        self.has_ended = False
        self._looked = 0

    def ended(self, frame: FrameType, line: int, returned: tuple[object, ...]) -> None:
        file, function = frame.f_code.co_filename, frame.f_code.co_qualname
        self.has_ended = True
        for name, value in _values(frame.f_locals, returned):
            self._looked += 1
            if self._looked <= _MOST and self._is_such(value):
                self.met.setdefault(((file, function, line), (file, function, name)), value)


def _values(names: Mapping[str, object], returned: tuple[object, ...]) -> Iterator[tuple[str, Value]]:
    """What the names of a function stand for, and what it returns, with the parts of tuples, lists and dicts."""
    for name, held in (*((_RETURN, value) for value in returned), *names.items()):
        value = value_meta(held, 1) if name != "self" else None
        if value is not None:
            yield name, value
            yield from ((name + key, part) for key, part in value.parts)


def _look_of(wanted: Value, kind: _Kind) -> _Look:
    trait = _TRAITS[kind]
    return lambda value: trait(value) is not None and trait(value) == trait(wanted)


def _shape(value: Value) -> object:
    return value.meta.shape if value.meta is not None else None


def _sizes(value: Value) -> object:
    """The sizes above 1 of a tensor or an array, in whatever order."""
    return sorted(size for size in value.meta.shape if size != 1) or None if value.meta is not None else None


def _length(value: Value) -> object:
    return value.length if value.family == "sequence" else None


_TRAITS: Mapping[_Kind, Callable[[Value], object]] = {
    "shape": _shape,
    "sizes": _sizes,
    "length": _length,
    "type": lambda value: value.kind,
}


def _site(filename: str, function: str, line: int) -> Site | None:
    """What a line gives a name or returns; else the line's own statement."""
    statements = [
        node
        for node in ast.walk(tree_of(filename) or ast.Module([], []))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    if not statements:
        return None
    innermost = max(statements, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    value = getattr(innermost, "value", None)
    return site_of_node(value if isinstance(value, ast.expr) else innermost, filename, function)
