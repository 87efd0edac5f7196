"""Which new shape a failed `view`, `reshape`, `split` or their kin was asked for, and why the tensor can't have it."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.fixes import ChangeOperand, ChangeSetting, Fix
from tensorcheck.knowledge.reshaping import Shape, enclosed
from tensorcheck.knowledge.respelling import with_argument
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits, short, titled

_ROOM = 24
_SHAPE = re.compile(r"shape '(\[[-\d, ]*\])' is invalid for input of size (\d+)")
_STRIDES = re.compile(r"view size is not compatible with input tensor's size and stride")
_INFERRED = re.compile(r"only one dimension can be inferred")
_NEGATIVE = re.compile(r"invalid shape dimension (-\d+) at index (\d+) of shape (\[[-\d, ]*\])")
_EMPTY = re.compile(r"cannot reshape tensor of 0 elements into shape (\[[-\d, ]*\])")
_UNFLATTEN = re.compile(
    r"unflatten: Provided sizes (\[[-\d, ]*\]) don't multiply up to the size of dim (-?\d+) \((\d+)\)"
)
_FLATTEN = re.compile(r"start_dim cannot come after end_dim")
_SPLIT = re.compile(
    r"split_with_sizes expects split_sizes to sum exactly to (\d+) \(input tensor's size at dimension (-?\d+)\), but "
    r"got split_sizes=(\[[-\d, ]*\])"
)
_UNPACK = re.compile(r"^(?:not enough|too many) values to unpack \(expected (\d+)(?:, got (\d+))?\)")
_AS_DTYPE = re.compile(r"self\.size\(-1\) must be divisible by (\d+) to view (\w+) as (\w+) \(.*\), but got (\d+)")
_PAIRS = re.compile(r"Tensor must have a last dimension of size 2")
_STORAGE = re.compile(
    r"setStorage: sizes (\[[\d, ]*\]), strides (\[[\d, ]*\]), .* are out of bounds for storage of size (\d+)"
)
_RESIZE = re.compile(r"cannot resize variables that require grad")
_BELOW_ZERO = re.compile(
    r"(\w+): Dimension size must be non-negative|[Tt]rying to create tensor with negative dimension (-\d+)"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A shape that a tensor can't have, as a rule says it."""

    headline: str
    wanted: str
    got: str
    setting: Setting | None = None
    """The number that is likelier to be wrong than the tensor."""
    fixes: tuple[Fix, ...] = ()
    help: str = ""
    note: str = ""


def refusal_of(call: FailedCall, message: str, site: Site | None) -> Refusal | None:
    """What a call asked for and the tensor could not give; None for any other message."""
    if call.kind == "loss" or (call.kind == "layer" and call.function != "Unflatten"):
        return None
    for pattern, read in _READERS:
        found = pattern.search(message)
        if found is not None:
            return read(_Asked(call, found, site))
    return None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call, and what its message tells."""

    call: FailedCall
    found: re.Match[str]
    site: Site | None

    @property
    def given(self) -> Operand | None:
        """The tensor."""
        return self.call.first

    @property
    def name(self) -> str:
        """The tensor, as its user spells it."""
        first = self.call.unread[0].code if self.call.unread and self.given is None else ""
        return f"`{short(self.given.spelled if self.given is not None else first or 'the tensor', _ROOM)}`"

    @property
    def got(self) -> str:
        """What it is."""
        return self.given.meta.notation if self.given is not None else "another shape"

    @property
    def function(self) -> str:
        """What was called."""
        return f"`{self.call.function}`" if self.call.module is None else titled(self.call.module)

    def sizes(self, group: int) -> list[int]:
        """The numbers of a shape in the message."""
        return [int(size) for size in re.findall(r"-?\d+", self.found[group])]


def _of_size(asked: _Asked) -> Refusal:
    """`view` to another number of elements."""
    target, count = asked.sizes(1), int(asked.found[2])
    fixed = math.prod(size for size in target if size >= 0)
    needs = f"a multiple of {fixed}" if -1 in target else str(math.prod(target))
    given = f"{list(asked.given.meta.shape)}" if asked.given is not None else asked.name
    settings = _sizes_given(asked)
    settings = settings if len(settings) == len(target) else []
    wrong = list(_wrong_sizes(target, count, asked.given.meta.shape if asked.given is not None else ()))
    return Refusal(
        first_that_fits(
            f"{asked.function} to {target} takes {needs} elements, but {given} has {count}",
            f"{asked.function} to {target} takes {needs} elements, not {count}",
            f"{asked.function} was asked for {needs} elements, but there are {count}",
        ),
        f"{needs} elements for {target}",
        f"{asked.got}    {count} elements",
        setting=next((settings[place] for place, _ in wrong if place < len(settings)), None),
        fixes=tuple(_resized(asked, settings, [*target[:place], size, *target[place + 1 :]]) for place, size in wrong),
    )


def _sizes_given(asked: _Asked) -> list[Setting]:
    """The plain numbers of the new shape, in order; empty where one of them is no plain argument."""
    return [setting for setting in asked.call.settings if isinstance(setting.value, int)]


def _wrong_sizes(target: list[int], count: int, shape: Shape) -> Iterator[tuple[int, int]]:
    """The sizes that would do if they were another number, each with that; first those that the tensor has itself.

    Sizes that the tensor has already are the last to be doubted.

    >>> list(_wrong_sizes([64, 144], 5760, (40, 1, 12, 12)))
    [(0, -1), (1, 90)]
    """
    flat = math.prod(shape[1:])
    found = []
    for place, size in enumerate(target):
        others = math.prod(each for index, each in enumerate(target) if index != place and each != -1)
        if size != -1 and -1 not in target and others and count % others == 0:
            found.append((place, -1 if shape and not place and count // others == shape[0] else count // others))
        elif size != -1 and -1 in target and shape:
            found.append((place, flat if place else shape[0]))
    first, last = _alike(target, shape), len(target) - _alike(target[::-1], shape[::-1])
    yield from sorted(found, key=lambda each: (each[1] not in (-1, *shape), not first <= each[0] < last))


def _alike(left: Sequence[int], right: Sequence[int]) -> int:
    """How many sizes two shapes have in common from their beginning on."""
    return next((place for place, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), 0)


def _resized(asked: _Asked, settings: list[Setting], target: list[int]) -> Fix:
    given = asked.given
    written = ", ".join(map(str, target))
    edits = tuple(ChangeSetting(setting.name, size) for setting, size in zip(settings, target, strict=False))
    return Fix(f"{enclosed(given.spelled) if given else 'tensor'}.{asked.call.function}({written})", edits)


def _of_strides(asked: _Asked) -> Refusal:
    """`view` of a tensor whose memory is in another order."""
    code = asked.site.code if asked.site is not None else ""
    given = asked.given
    edits = (ChangeOperand(given.name, "contiguous"),) if given is not None else ()
    spelled = enclosed(given.spelled) if given is not None else ""
    changed = code.replace(f"{given.spelled}.view(", f"{given.spelled}.reshape(", 1) if given is not None else code
    if changed == code:
        before, found, after = code.rpartition(".view(")
        changed = f"{before}.reshape({after}" if found else ""
    return Refusal(
        first_that_fits(
            f"{asked.name} lies in memory in another order than `view` can keep",
            "`view` got a tensor that lies in memory in another order",
        ),
        "a tensor that is contiguous",
        f"{asked.got}    not contiguous",
        help=changed,
        fixes=(Fix(changed, edits), Fix(f"{spelled}.contiguous()", edits)) if edits and changed else (),
        note="a transpose or a permute does not move the numbers; `reshape` does where it must",
    )


def _two_open(asked: _Asked) -> Refusal:
    count = sum(1 for setting in _sizes_given(asked) if setting.value == -1)
    return Refusal(
        f"{asked.function} has {counted(count, 'size')} of -1 to find for {asked.name}",
        "one size of -1 at most",
        asked.got,
        setting=next((setting for setting in _sizes_given(asked) if setting.value == -1), None),
    )


def _negative(asked: _Asked) -> Refusal:
    size, place, target = asked.found.groups()
    wrong = next((setting for setting in _sizes_given(asked) if str(setting.value) == size), None)
    return Refusal(
        f"{asked.function} got the size {size} for dim {place}",
        "sizes of 0 and more, or one -1",
        target,
        setting=wrong,
        fixes=(Fix(with_argument(asked.site, wrong, "", "-1"), (ChangeSetting(wrong.name, -1),)),) if wrong else (),
    )


def _nothing(asked: _Asked) -> Refusal:
    return Refusal(
        f"{asked.name} has 0 elements, so that any size would do for -1 in {asked.found[1]}",
        "all sizes written out",
        asked.got,
        fixes=tuple(_written_out(asked)),
    )


def _written_out(asked: _Asked) -> Iterator[Fix]:
    target, given = asked.sizes(1), asked.given
    if given is not None and len(target) == len(given.meta.shape):
        sizes = [old if size == -1 else size for size, old in zip(target, given.meta.shape, strict=True)]
        settings = _sizes_given(asked)
        yield _resized(asked, settings if len(settings) == len(target) else [], sizes)


def _unflattened(asked: _Asked) -> Refusal:
    sizes, dim, size = asked.found.groups()
    product = math.prod(asked.sizes(1))
    where = f" in {asked.name}" if asked.given is not None and asked.given.site is not None else ""
    return Refusal(
        first_that_fits(
            f"{asked.function} makes {sizes} of {product} features, but got {size}{where}",
            f"{asked.function} makes {sizes} of {product} features, but got {size}",
        ),
        f"{product} in dim {dim}",
        f"{asked.got}    {size} in dim {dim}",
    )


def _misordered(asked: _Asked) -> Refusal:
    """`flatten` from a later dim to an earlier one."""
    ends, given = _sizes_given(asked), asked.given
    if len(ends) <= 1 or given is None:
        return Refusal(f"{asked.function} ends before it starts", "a first dim that is not after the last", asked.got)
    first, last = ends[:2]
    edits = (ChangeSetting(first.name, last.value), ChangeSetting(last.name, first.value))
    return Refusal(
        f"{asked.function} got its first and last dim in the wrong order: {first.value} and {last.value}",
        "a first dim that is not after the last",
        f"{first.value} and {last.value} of {asked.got}",
        fixes=(Fix(f"{enclosed(given.spelled)}.flatten({last.value}, {first.value})", edits),),
    )


def _split(asked: _Asked) -> Refusal:
    whole, dim, sizes = asked.found.groups()
    total = sum(asked.sizes(3))
    given = next((setting for setting in asked.call.settings if isinstance(setting.value, tuple)), None)
    parts = asked.sizes(3)
    even = [int(whole) // len(parts)] * len(parts) if parts and int(whole) % len(parts) == 0 else []
    return Refusal(
        f"{asked.function} into {sizes} takes {total} in dim {dim}, but {asked.name} has {whole}",
        f"sizes that sum up to {whole}",
        f"{asked.got}    {total} = {' + '.join(map(str, parts))}",
        setting=given,
        fixes=(Fix(with_argument(asked.site, given, given.name, str(even)), (ChangeSetting(given.name, tuple(even)),)),)
        if even and given is not None
        else (),
    )


_PARTS = frozenset({"chunk", "split", "tensor_split", "unbind", "unsafe_chunk", "hsplit", "vsplit", "dsplit"})
_SHAPES = frozenset({"shape", "size"})


def _unpacked(asked: _Asked) -> Refusal | None:
    """`a, b, c = x.chunk(3)` or `b, c, h, w = x.shape`, where there are more or fewer."""
    function, given = asked.call.function, asked.given
    if given is None or function not in _PARTS | _SHAPES:
        return None
    wanted = int(asked.found[1])
    if function in _SHAPES:
        rank = len(given.meta.shape)
        return Refusal(
            f"{asked.name} has {counted(rank, 'dim')}, but {wanted} are unpacked from its shape",
            f"{counted(wanted, 'dim')}",
            asked.got,
        )
    came = asked.found[2] or "more"
    dim = next((setting for setting in asked.call.settings if setting.name in ("dim", "1")), None)
    at = dim.value if dim is not None and isinstance(dim.value, int) else 0
    size = given.meta.shape[at] if -len(given.meta.shape) <= at < len(given.meta.shape) else None
    return Refusal(
        f"{asked.function} of {asked.name} gives {came} parts, but {wanted} are unpacked",
        f"{counted(wanted, 'part')}",
        f"{asked.got}    size {size} in dim {at}",
    )


_NAMES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}


def _as_dtype(asked: _Asked) -> Refusal:
    by, old, new, size = asked.found.groups()
    given, wanted = asked.given, _NAMES.get(new, new)
    before = _NAMES.get(old, old)
    return Refusal(
        f"`view` reads {before} as {wanted}: {size} numbers in the last dim, not a multiple of {by}",
        f"a last dim that {by} divides",
        asked.got,
        help=f"{enclosed(given.spelled)}.to(torch.{wanted})" if given is not None and given.site is not None else "",
        note="`view(dtype)` reads the same bytes anew; `to(dtype)` converts the numbers",
    )


def _pairs(asked: _Asked) -> Refusal:
    size = asked.given.meta.shape[-1] if asked.given is not None and asked.given.meta.shape else "no dims"
    return Refusal(
        f"{asked.function} takes pairs in the last dim but got {size} in {asked.name}",
        "[*, 2], the real and the imaginary part",
        asked.got,
    )


def _beyond(asked: _Asked) -> Refusal:
    sizes, strides, room = asked.found.groups()
    width = {"64": 8, "32": 4, "16": 2, "8": 1}
    bits = re.search(r"\d+$", asked.given.meta.dtype) if asked.given is not None else None
    elements = int(room) // width.get(bits[0], 1) if bits is not None else int(room)
    return Refusal(
        first_that_fits(
            f"{asked.function} to {sizes} by {strides} reaches beyond the {elements} elements of {asked.name}",
            f"{asked.function} to {sizes} reaches beyond the {elements} elements there are",
        ),
        f"sizes and strides within {elements} elements",
        asked.got,
    )


def _resized_parameter(asked: _Asked) -> Refusal:
    return Refusal(
        f"{asked.function} can't resize {asked.name}, which requires a gradient",
        "a tensor that requires no gradient",
        str(asked.given.meta) if asked.given is not None else "one that does",
    )


def _below_zero(asked: _Asked) -> Refusal:
    wrong = next((setting for setting in asked.call.settings for size in _numbers(setting) if size < 0), None)
    size = min(_numbers(wrong)) if wrong is not None else int(asked.found[2] or -1)
    name = f", `{short(wrong.site.code, _ROOM)}`" if wrong is not None and wrong.site is not None else ""
    return Refusal(
        f"{asked.function} got a size below zero: {size}{name if not name.strip(', `').lstrip('-').isdigit() else ''}",
        "sizes of 0 and more",
        str(size),
        setting=wrong,
    )


def _numbers(setting: Setting) -> list[int]:
    values = setting.value if isinstance(setting.value, tuple) else (setting.value,)
    return [value for value in values if isinstance(value, int)]


_READERS: tuple[tuple[re.Pattern[str], Callable[[_Asked], Refusal | None]], ...] = (
    (_SHAPE, _of_size),
    (_STRIDES, _of_strides),
    (_INFERRED, _two_open),
    (_NEGATIVE, _negative),
    (_EMPTY, _nothing),
    (_UNFLATTEN, _unflattened),
    (_FLATTEN, _misordered),
    (_SPLIT, _split),
    (_UNPACK, _unpacked),
    (_AS_DTYPE, _as_dtype),
    (_PAIRS, _pairs),
    (_STORAGE, _beyond),
    (_RESIZE, _resized_parameter),
    (_BELOW_ZERO, _below_zero),
)
