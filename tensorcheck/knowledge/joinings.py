"""Which parts of a `cat`, a `stack` or their kin don't fit, told from the parts and PyTorch's message."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.fixes import ChangeOperand, ChangeSetting, Fix
from tensorcheck.knowledge.reshaping import Shape, enclosed, refits
from tensorcheck.knowledge.respelling import with_argument
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits, short

_CATS = frozenset({"cat", "concat", "concatenate", "hstack", "vstack", "row_stack", "dstack", "column_stack"})
_STACKS = frozenset({"stack"})
_PADDERS = frozenset({"pad_sequence", "pack_sequence", "nested_tensor", "as_nested_tensor"})
_BLOCKS = frozenset({"block_diag"})
_ROOM = 24

_EMPTY = re.compile(r"expected a non-empty list of Tensors|expects a non-empty TensorList|received an empty list")
_NUMBER = re.compile(r"zero-dimensional tensor \(at position (\d+)\) cannot be concatenated")
_RANGE = re.compile(r"Dimension out of range \(expected to be in range of \[-?\d+, (-?\d+)\], but got (-?\d+)\)")
_RANKS = re.compile(r"Tensors must have same number of dimensions: got (\d+) and (\d+)")
_SIZES = re.compile(
    r"Sizes of tensors must match except in dimension (\d+)\. Expected size (\d+) but got size (\d+) for tensor number "
    r"(\d+)"
)
_EQUAL = re.compile(
    r"stack expects each tensor to be equal size, but got (\[.*?\]) at entry (\d+) and (\[.*?\]) at entry (\d+)"
)
_MET = re.compile(
    r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension (\d+)"
)
_BLOCK = re.compile(r"block_diag: Input tensors must have 2 or fewer dimensions\. Input (\d+) has (\d+) dimensions")


@dataclass(frozen=True, slots=True)
class Joining:
    """Parts that don't fit, as a rule says it."""

    headline: str
    wanted: str
    got: str
    operands: tuple[Operand, ...] = ()
    """The guilty part first."""
    setting: Setting | None = None
    """The plain argument that is guilty."""
    site: Site | None = None
    fixes: tuple[Fix, ...] = ()
    help: str = ""
    note: str = ""


def joining_of(call: FailedCall, message: str, site: Site | None) -> Joining | None:
    """What is wrong with the parts of a call that puts tensors together; None for any other call."""
    if call.kind != "operation":
        return None
    found = (read(call, message, site) for read in (_empty, _parts_differ, _out_of_range))
    return next((joining for joining in found if joining is not None), None)


def _name(operand: Operand) -> str:
    return f"`{short(operand.name, _ROOM)}`"


def _empty(call: FailedCall, message: str, site: Site | None) -> Joining | None:
    """Nothing to put together."""
    given = next((setting for setting in call.settings if setting.value == ()), None)
    if not _EMPTY.search(message) or call.function not in _CATS | _STACKS | _PADDERS:
        return None
    name = f": `{short(given.site.code, _ROOM)}` is empty" if given is not None and given.site is not None else ""
    return Joining(
        f"`{call.function}` got 0 tensors{name}",
        "at least 1 tensor",
        "0 tensors",
        setting=given,
        site=given.site if given is not None else site,
    )


def _parts_differ(call: FailedCall, message: str, site: Site | None) -> Joining | None:
    """Parts that differ in the number of dims, or in the size of one that is not the joined one."""
    readers = (
        (_CATS, _NUMBER, _numbers),
        (_CATS, _RANKS, _ranks),
        (_CATS, _SIZES, _sizes),
        (_STACKS, _EQUAL, _unequal),
        (_PADDERS, _MET, _padded),
        (_BLOCKS, _BLOCK, _blocks),
    )
    for functions, pattern, read in readers:
        said = pattern.search(message) if call.function in functions else None
        if said is not None:
            return read(call, site, said)
    return None


def _numbers(call: FailedCall, site: Site | None, _: re.Match[str]) -> Joining:
    code = site.code if site is not None else ""
    first = next((operand for operand in call.operands if not operand.meta.shape), None)
    return Joining(
        f"`{call.function}` got a number without dims, {_name(first) if first is not None else 'a part'}",
        "at least 1 dim in each part",
        first.meta.notation if first is not None else "[]",
        operands=(first,) if first is not None else (),
        site=site,
        help=code.replace(f"{call.function}(", "stack(", 1) if f"{call.function}(" in code else "",
    )


def _odd_pair(call: FailedCall, differs: "Differs") -> tuple[Operand, Operand] | None:
    """The first part and the first that differs from it."""
    for operand in call.operands[1:]:
        if differs(call.operands[0].meta.shape, operand.meta.shape):
            return call.operands[0], operand
    return None


class Differs:
    """How two parts of a joining differ."""

    def __init__(self, dim: int | None) -> None:
        self._dim = dim

    def __call__(self, left: Shape, right: Shape) -> bool:
        """Whether they don't fit; without a dim to join them along, whether they differ in rank."""
        if self._dim is None or len(left) != len(right):
            return len(left) != len(right)
        joined = self._dim % len(left) if left else 0
        return any(a != b for dim, (a, b) in enumerate(zip(left, right, strict=True)) if dim != joined)


def _ranks(call: FailedCall, site: Site | None, said: re.Match[str]) -> Joining:
    told = int(said[1]), int(said[2])
    pair = _odd_pair(call, Differs(None))
    if pair is None:
        known = _known(call, told)
        return Joining(
            f"`{call.function}` got parts of {counted(told[0], 'dim')} and {told[1]}",
            f"{counted(told[0], 'dim')} in each part",
            known.meta.notation if known is not None else counted(told[1], "dim"),
            operands=(known,) if known is not None else (),
            site=site,
        )
    first, odd = pair
    dim = _dim_of(call)
    differs = Differs(dim)
    return Joining(
        first_that_fits(
            f"{_name(first)} has {counted(len(first.meta.shape), 'dim')}, but {_name(odd)} has {len(odd.meta.shape)}",
            f"`{call.function}` got parts of {len(first.meta.shape)} and {len(odd.meta.shape)} dims",
        ),
        f"{counted(len(first.meta.shape), 'dim')} in each part",
        f"{first.meta.notation} and {odd.meta.notation}",
        operands=(odd, first),
        site=odd.site or site,
        fixes=(
            *refits(odd, lambda shape: not differs(first.meta.shape, shape), flattening=False),
            *refits(first, lambda shape: not differs(odd.meta.shape, shape), flattening=False),
        ),
    )


def _known(call: FailedCall, ranks: Sequence[int]) -> Operand | None:
    """Of two parts of which one is gone, the other."""
    return next((operand for operand in call.operands if len(operand.meta.shape) in ranks), None)


def _dim_of(call: FailedCall) -> int:
    """The dim that the parts are joined along."""
    given = call.setting("dim") or call.setting("axis") or call.setting("1")
    by_name = {"vstack": 0, "row_stack": 0, "hstack": 1, "column_stack": 1, "dstack": 2}
    plain = given.value if given is not None and isinstance(given.value, int) else 0
    return by_name.get(call.function, plain)


def _sizes(call: FailedCall, site: Site | None, said: re.Match[str]) -> Joining:
    joined, wanted, came, place = (int(said[group]) for group in range(1, 5))
    whole = not call.unread and place < len(call.operands)
    pair = (call.operands[0], call.operands[place]) if whole else None
    if pair is None:
        return _sizes_told(call, site, said)
    first, odd = pair
    dims = _differing(first.meta.shape, odd.meta.shape, joined)
    where = f" in dim {dims[0]}" if dims else ""
    return Joining(
        first_that_fits(
            f"{_name(first)} has size {wanted}{where}, but {_name(odd)} has {came}",
            f"`{call.function}` got parts of sizes {wanted} and {came}{where}",
        ),
        f"size {wanted}{where}, as {first.meta.notation} has",
        odd.meta.notation,
        operands=(odd, first),
        site=odd.site or site,
        fixes=tuple(_size_fixes(call, first, odd, joined, site)),
    )


def _sizes_told(call: FailedCall, site: Site | None, said: re.Match[str]) -> Joining:
    """The values of some parts are gone, so that the message alone tells the sizes."""
    joined, wanted, came, place = said.groups()
    places = sorted([*(operand.site for operand in call.operands), *call.unread], key=_column)
    odd = places[int(place)] if int(place) < len(places) else None
    first = places[0] if places else None
    names = [f"`{short(each.code, _ROOM)}`" if each is not None else "a part" for each in (first, odd)]
    return Joining(
        first_that_fits(
            f"{names[0]} has size {wanted}, but {names[1]} has {came}",
            f"`{call.function}` got parts of sizes {wanted} and {came}",
        ),
        f"size {wanted} in all dims but dim {joined}",
        f"{came}",
        operands=tuple(call.operands),
        site=odd or site,
    )


def _column(site: Site | None) -> tuple[int, int]:
    return (site.line, site.column) if site is not None else (0, 0)


def _differing(left: Shape, right: Shape, joined: int) -> list[int]:
    return [dim for dim, (a, b) in enumerate(zip(left, right, strict=False)) if a != b and dim != joined]


def _along(call: Site | None, given: Setting | None, dim: int) -> Fix:
    name = given.name if given is not None else "dim"
    return Fix(with_argument(call, given, "dim", str(dim)), (ChangeSetting(name, dim),))


_SPATIAL = 2


def _size_fixes(call: FailedCall, first: Operand, odd: Operand, joined: int, whole: Site | None) -> Iterator[Fix]:
    """Another dim to join along, the larger one cut, or one part's dims in another order."""
    left, right = first.meta.shape, odd.meta.shape
    differing = _differing(left, right, joined)
    yield from _along_others(call, left, joined, whole)
    for larger, other in ((odd, left), (first, right)) if differing else ():
        if larger.site is not None and all(_is_slightly_larger(larger.meta.shape, other, dim) for dim in differing):
            written = [":" if dim not in differing else f":{other[dim]}" for dim in range(max(differing) + 1)]
            edits = tuple(ChangeOperand(larger.name, "narrow", (dim, 0, other[dim])) for dim in differing)
            yield Fix(f"{enclosed(larger.name)}[{', '.join(written)}]", edits)
    differs = Differs(joined)
    yield from refits(odd, lambda shape: len(shape) == len(left) and not differs(left, shape))
    yield from refits(first, lambda shape: len(shape) == len(right) and not differs(right, shape))


def _along_others(call: FailedCall, left: Shape, joined: int, whole: Site | None) -> Iterator[Fix]:
    """The other dims along which all parts fit."""
    given = call.setting("dim") or call.setting("axis") or call.setting("1")
    for dim in range(len(left)) if call.function in ("cat", "concat", "concatenate") else ():
        if dim != joined and not any(Differs(dim)(left, each.meta.shape) for each in call.operands):
            yield _along(whole, given, dim)


def _is_slightly_larger(shape: Shape, other: Shape, dim: int) -> bool:
    """Whether a height or width is the other's but for what halving and doubling lose; features are never cut."""
    return dim >= _SPATIAL and 0 < shape[dim] - other[dim] <= max(other[dim] // 4, 1)


def _unequal(call: FailedCall, site: Site | None, said: re.Match[str]) -> Joining:
    places = int(said[2]), int(said[4])
    whole = not call.unread and max(places) < len(call.operands)
    first, odd = (call.operands[place] for place in places) if whole else (None, None)
    names = [
        f"part {place}" if operand is None else _name(operand)
        for place, operand in zip(places, (first, odd), strict=True)
    ]
    shapes = said[1], said[3]
    is_batches = odd is not None and first is not None and first.meta.shape[1:] == odd.meta.shape[1:]
    code = site.code if site is not None else ""
    return Joining(
        first_that_fits(
            f"{names[0]} is {shapes[0]}, but {names[1]} is {shapes[1]}",
            f"`{call.function}` got parts of shapes {shapes[0]} and {shapes[1]}",
            f"`{call.function}` got parts of two shapes",
        ),
        f"{shapes[0]} in each part",
        shapes[1],
        operands=tuple(operand for operand in (odd, first) if operand is not None),
        site=odd.site if odd is not None else site,
        note=f"`{code.replace('stack(', 'cat(', 1)}` joins parts of different lengths"
        if is_batches and "stack(" in code
        else "",
    )


def _padded(call: FailedCall, site: Site | None, said: re.Match[str]) -> Joining:
    first = call.operands[0] if call.operands else None
    odd = next((each for each in call.operands[1:] if first and each.meta.shape[1:] != first.meta.shape[1:]), None)
    if first is None or odd is None:
        return Joining(
            f"`{call.function}` got parts of sizes {said[1]} and {said[2]}", f"size {said[1]}", said[2], site=site
        )
    return Joining(
        f"{_name(first)} ends with {list(first.meta.shape[1:])}, but {_name(odd)} with {list(odd.meta.shape[1:])}",
        f"[*, {', '.join(map(str, first.meta.shape[1:]))}] in each part",
        odd.meta.notation,
        operands=(odd, first),
        site=odd.site or site,
        fixes=tuple(refits(odd, lambda shape: shape[1:] == first.meta.shape[1:], flattening=False)),
    )


def _blocks(call: FailedCall, site: Site | None, said: re.Match[str]) -> Joining:
    place, rank = int(said[1]), said[2]
    given = call.operands[place] if not call.unread and place < len(call.operands) else None
    if given is None:
        return Joining(
            f"`{call.function}` takes at most 2 dims but got {rank}",
            "at most 2 dims in each part",
            f"{rank} dims",
            site=site,
        )
    return Joining(
        f"`{call.function}` takes at most 2 dims but got {rank} in {_name(given)}",
        "at most 2 dims in each part",
        given.meta.notation,
        operands=(given,),
        site=given.site,
        help=f"torch.block_diag(*{given.name})" if rank == "3" else "",
    )


def _out_of_range(call: FailedCall, message: str, site: Site | None) -> Joining | None:
    """A dim to join along that the parts don't have."""
    said, first = _RANGE.search(message), call.first
    if said is None or call.function not in _CATS | _STACKS:
        return None
    rank, dim = int(said[1]) + (1 if call.function in _CATS else 0), int(said[2])
    given = call.setting("dim") or call.setting("axis") or call.setting("1")
    settings = [] if given is None else [_along(site, given, each) for each in range(rank)]
    code = site.code if site is not None else ""
    is_cat = call.function == "cat" and dim == rank
    return Joining(
        f"`{call.function}` joins along dim {dim}, but its parts have {counted(rank, 'dim')}",
        f"a dim from {-rank} to {rank - 1}",
        f"{dim} of {first.meta.notation}" if first is not None else str(dim),
        operands=(first,) if first is not None else (),
        site=first.site if first is not None else site,
        fixes=tuple(settings),
        note=f"`{code.replace('cat(', 'stack(', 1)}` makes a new dim" if is_cat and "cat(" in code else "",
    )
