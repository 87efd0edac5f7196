"""Which operands of a failed call have shapes that don't fit each other, told from the operands and PyTorch's message.

The operands tell more than the message, which often has numbers alone; where an operand's value is gone, the message's
numbers stand for it.
"""

import itertools
import re
from collections import UserDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.knowledge.parts import Part, parts_of
from tensorcheck.knowledge.reshaping import Shape, enclosed, refits
from tensorcheck.knowledge.sayings import SAYINGS, Saying
from tensorcheck.sites import Site
from tensorcheck.wording import first_that_fits, short

_ROOM = 22
_NARROW = 10
"""What an operand's expression may take of a headline, and of one that would be too long."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Operands that don't fit, as a rule says it."""

    headline: str
    wanted: str
    operands: tuple[Operand, ...]
    """Those that are known, the guilty one first."""
    fixes: tuple[Fix, ...] = ()
    help: str = ""
    site: Site | None = None
    note: str = ""
    built: Site | None = None
    """Where the layer was built, where its settings are what does not fit."""


def clash_of(call: FailedCall, message: str) -> Clash | None:
    """The operands of an operation that don't fit; None where the message is about something else."""
    if call.kind != "operation" or call.function in _NO_OPERATIONS or not parts_of(call):
        return None
    for saying in SAYINGS:
        found = re.search(saying.pattern, message)
        if found is not None and (not saying.functions or call.function in saying.functions):
            return _clash(call, saying, found)
    return None


_NO_OPERATIONS = ("backward", "step", "load_state_dict", "pad_sequence", "pack_sequence", "einsum")
"""Within these, other tensors meet than those that the line spells, or other rules and files know more."""


def _clash(call: FailedCall, saying: Saying, found: re.Match[str]) -> Clash:
    parts = parts_of(call)
    pair = _pair(parts, found) if saying.fits == "broadcast" else None
    if saying.fits == "broadcast" and pair is None and (len(parts) != _TWO or not call.unread):
        return _within(call, found)
    chosen = pair or [parts[place] for place in saying.operands if place < len(parts)]
    guilty = (_one_a_sample(chosen) or chosen[min(saying.guilty, len(chosen) - 1)]) if chosen else None
    told = {key: value for key, value in found.groupdict().items() if value is not None}
    told |= _sizes(chosen[0].shape or (), chosen[1].shape or (), found) if pair is not None else {}
    words = told | _names(call, chosen, _ROOM)
    narrow = told | _names(call, chosen, _NARROW)
    known = [part.operand for part in chosen if part.operand is not None]
    ordered = sorted(known, key=lambda operand: guilty is None or operand is not guilty.operand)
    return Clash(
        first_that_fits(*(saying.headline.format_map(_Words(each)) for each in (words, narrow))),
        _wanted_column(guilty, ordered) or saying.wanted.format_map(_Words(words)),
        tuple(ordered),
        fixes=tuple(_fixes(saying, known, ordered)),
        help=_help(call, parts, saying, ordered),
        site=guilty.site if guilty is not None else None,
    )


def _one_a_sample(chosen: Sequence[Part]) -> Part | None:
    """The vector with a number for each sample that stands beside a whole batch, whose last dim it met instead."""
    if len(chosen) != _TWO:
        return None
    pairs = ((chosen[0], chosen[1].shape), (chosen[1], chosen[0].shape))
    return next((vector for vector, batch in pairs if _is_one_each(vector.shape, batch)), None)


def _help(call: FailedCall, parts: Sequence[Part], saying: Saying, ordered: Sequence[Operand]) -> str:
    """What is certain to be meant, before anything is tried."""
    if saying.fits == "grow":
        return _in_place(call, parts)
    columns = _columned(*ordered) if saying.fits == "broadcast" and len(ordered) == _TWO else ()
    return next((fix.help for fix in columns), "")


def _wanted_column(guilty: Part | None, operands: Sequence[Operand]) -> str:
    """What a number for each sample would have to be to meet the batch beside it."""
    if guilty is None or len(operands) != _TWO or not _is_one_each(guilty.shape, operands[1].meta.shape):
        return ""
    shape = [*operands[0].meta.shape, *[1] * (len(operands[1].meta.shape) - 1)]
    return f"{operands[0].meta.dtype}{shape}    a number for each sample"


def _is_one_each(vector: Shape | None, batch: Shape | None) -> bool:
    return vector is not None and batch is not None and len(batch) > 1 and vector == batch[:1] != batch[-1:]


def _within(call: FailedCall, found: re.Match[str]) -> Clash:
    """What the call made of its operands does not broadcast, such as the scores of attention with their mask."""
    return Clash(
        f"`{call.function}` meets sizes {found['a']} and {found['b']} in dim {found['dim']}",
        "equal sizes, or 1",
        tuple(operand for operand in call.operands if {int(found["a"]), int(found["b"])} & {*operand.meta.shape}),
    )


class _Words(UserDict[str, str]):
    """What a message leaves out is left open."""

    def __missing__(self, key: str) -> str:
        return "another operand" if key in ("left", "right", "third") else "?"


def _names(call: FailedCall, chosen: Sequence[Part], room: int) -> dict[str, str]:
    names = {"function": f"`{call.function.removeprefix('linalg_')}`"}
    for key, part in zip(("left", "right", "third"), chosen, strict=False):
        names[key] = f"`{short(part.spelled, room)}`"
        if part.operand is not None:
            names[f"{key}_shape"] = str(list(part.operand.meta.shape))
            names[f"{key}_rank"] = str(len(part.operand.meta.shape))
            names[f"{key}_dtype"] = part.operand.meta.dtype
    return names


def _pair(parts: Sequence[Part], found: re.Match[str]) -> list[Part] | None:
    """The first two known operands that don't meet in the sizes that the message tells."""
    pairs = itertools.combinations((part for part in parts if part.operand is not None), 2)
    return next(([left, right] for left, right in pairs if _sizes(left.shape or (), right.shape or (), found)), None)


def broadcasts(left: Shape, right: Shape) -> bool:
    """Whether two shapes meet.

    >>> broadcasts((8, 1), (4,)), broadcasts((8, 2), (8,))
    (True, False)
    """
    return all(a == b or 1 in (a, b) for a, b in zip(left[::-1], right[::-1], strict=False))


def _sizes(left: Shape, right: Shape, found: re.Match[str]) -> dict[str, str]:
    """The last dim in which two shapes don't meet as the message says, and both sizes."""
    rank, told = max(len(left), len(right)), {int(found["a"]), int(found["b"])}
    for back, (a, b) in enumerate(zip(left[::-1], right[::-1], strict=False), start=1):
        if {a, b} == told:
            return {"a": str(a), "b": str(b), "dim": str(rank - back)}
    return {}


def _fixes(saying: Saying, known: Sequence[Operand], ordered: Sequence[Operand]) -> Iterator[Fix]:
    """Edits of one operand after which it fits the other, the guilty one's first."""
    if saying.fits not in _FITS or len(known) != _TWO:
        return
    fits = _FITS[saying.fits]
    for operand in ordered:
        is_left = operand is known[0]
        other = known[1 if is_left else 0]
        most = len(operand.meta.shape) if saying.fits in _FIXED_RANK else _ANY

        def is_fitting(
            shape: Shape, other: Shape = other.meta.shape, most: int = most, *, is_left: bool = is_left
        ) -> bool:
            return len(shape) <= most and (fits(shape, other) if is_left else fits(other, shape))

        if saying.fits == "broadcast":
            yield from _narrowed(operand, other)
            yield from _columned(operand, other)
        fixes = refits(operand, is_fitting, flattening=False)
        is_turned = len(operand.meta.shape) == len(other.meta.shape) or saying.fits != "broadcast"
        yield from (fix for fix in fixes if is_turned or not _TURNS.search(fix.help))


_TURNS = re.compile(r"\.(?:transpose|permute)\([^()]*\)$")
_TWO = 2
_ANY = 99
_FIXED_RANK = ("matmul", "bmm", "same")
"""Where a dim more would make all pairs of two batches."""


def _narrowed(operand: Operand, other: Operand) -> Iterator[Fix]:
    """The first rows of a table that a module holds and that is longer than what it is added to."""
    shape, met = operand.meta.shape, other.meta.shape
    backwards = range(-min(len(shape), len(met)), 0)
    differing = [dim for dim in backwards if shape[dim] != met[dim] and 1 not in (shape[dim], met[dim])]
    is_table = operand.meta.is_leaf and operand.spelled.replace(".", "").isidentifier() and "." in operand.spelled
    if is_table and len(differing) == 1 and shape[differing[0]] > met[differing[0]]:
        dim, size = len(shape) + differing[0], met[differing[0]]
        written = f"{other.spelled}.size({len(met) + differing[0]})" if other.spelled.isidentifier() else str(size)
        rows = ", ".join([*[":"] * dim, f": {written}"])
        yield Fix(f"{operand.spelled}[{rows}]", (ChangeOperand(operand.name, "narrow", (dim, 0, size)),))


def _columned(operand: Operand, other: Operand) -> Iterator[Fix]:
    """A number for each sample, with the dims that the samples have."""
    if _is_one_each(operand.meta.shape, other.meta.shape):
        dims = (-1, *[1] * (len(other.meta.shape) - 1))
        written = ", ".join(map(str, dims))
        yield Fix(f"{enclosed(operand.spelled)}.view({written})", (ChangeOperand(operand.name, "view", dims),))


def multiplies(left: Shape, right: Shape) -> bool:
    """Whether `left @ right` is a product.

    >>> multiplies((8, 4), (4, 2)), multiplies((8, 4), (2, 4)), multiplies((8, 4), (4,))
    (True, False, True)
    """
    if not left or not right:
        return False
    inner = right[-2] if len(right) > 1 else right[0]
    return left[-1] == inner and broadcasts(left[:-2], right[:-2])


def _covers(left: Shape, right: Shape) -> bool:
    """Whether one of two shapes is what both meet in, so that not all pairs are made."""
    rank = max(len(left), len(right))
    pairs = list(zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True))
    grown = tuple(max(pair) for pair in pairs)
    return broadcasts(left, right) and any(grown == (1,) * (rank - len(shape)) + shape for shape in (left, right))


_FITS: dict[str, Callable[[Shape, Shape], bool]] = {
    "broadcast": _covers,
    "matmul": lambda left, right: multiplies(left, right) and _covers(left[:-2], right[:-2]),
    "bmm": lambda left, right: len(left) == len(right) == len("bmn") and left[0] == right[0] and left[2] == right[1],
    "index": lambda left, right: len(left) == len(right) and left[0] == right[0],
    "same": lambda left, right: left == right,
}


def _in_place(call: FailedCall, parts: Sequence[Part]) -> str:
    """`total = total + batch`, in place of `total += batch`."""
    sign = {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}.get(call.function)
    if sign is None or len(parts) != _TWO:
        return ""
    left, right = (part.spelled for part in parts)
    return f"{left} = {left} {sign} {enclosed(right)}"
