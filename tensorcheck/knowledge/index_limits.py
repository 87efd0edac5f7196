"""Which index of a failed call lies outside of what it is for, told from its operands and from PyTorch's message."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.fixes import ChangeOperand, ChangeSetting, Fix
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.wording import expectation, first_that_fits, short, title, with_setting

_TABLES = ("Embedding", "EmbeddingBag")


@dataclass(frozen=True, slots=True)
class Excess:
    """An index outside, as a rule says it."""

    headline: str
    operand: Operand | None
    """What holds it, or else what it is for."""
    wanted: str = ""
    setting: str = ""
    """The layer's setting that set the limit."""
    index: Setting | None = None
    """The index itself, where it is a number in the user's line."""
    note: str = ""
    fixes: tuple[Fix, ...] = ()


def excess_of(call: FailedCall, message: str) -> Excess | None:
    """The index outside; None where the message is about something else.

    >>> from tensorcheck.tensors import TensorMeta
    >>> table = Operand("table", TensorMeta((4, 8), "float32", "cpu"))
    >>> call = FailedCall("getitem", "operation", (table,))
    >>> excess_of(call, "index 5 is out of bounds for dimension 0 with size 4").headline
    '`table` got index 5 for dim 0 of size 4'
    """
    ways = (_in_table, _state_alone, *(_told(pattern, say) for pattern, say in _MESSAGES.items()))
    return next((found for way in ways if (found := way(call, message)) is not None), None)


def _in_table(call: FailedCall, message: str) -> Excess | None:
    """Of an embedding, the layer or the function."""
    if not re.search(r"index out of range in self|is not in the valid range|device-side assert", message):
        return None
    layer, size = call.module, _rows(call)
    given = next((operand for operand in call.operands if size is not None and _is_outside(operand, size)), None)
    if given is None or size is None:
        return None
    is_negative = given.high is None or given.high < size
    index = given.low if is_negative else given.high
    wanted = f"{given.meta.dtype}[*] of 0 to {size - 1}"
    got = f"{_subject(call)} got index {index} but"
    own = (f"{got} its `num_embeddings` is {size}",) if layer is not None else ()
    return Excess(
        f"{got} takes 0 to {size - 1}" if is_negative else first_that_fits(*own, f"{got} has {size} rows"),
        given,
        expectation(wanted, layer) if layer is not None else wanted,
        "num_embeddings",
        note=f"likely: {index} marks the padding" if is_negative else "",
        fixes=tuple(_table_fixes(call, given, size)),
    )


def _rows(call: FailedCall) -> int | None:
    """How many rows the table of an embedding has."""
    if call.module is not None:
        size = call.module.settings.get("num_embeddings") if call.module.layer in _TABLES else None
        return size if isinstance(size, int) else None
    tables = (operand for operand in call.operands if operand.meta.is_floating_point and len(operand.meta.shape) > 1)
    table = next(tables, None) if call.function in ("embedding", "embedding_bag") else None
    return table.meta.shape[0] if table is not None else None


def _is_outside(operand: Operand, size: int) -> bool:
    return operand.low is not None and operand.high is not None and (operand.low < 0 or operand.high >= size)


def _table_fixes(call: FailedCall, given: Operand, size: int) -> Iterator[Fix]:
    """A larger table, or indices that are counted from 0; a negative index tells of neither."""
    if given.low is None or given.high is None or given.low < 0:
        return
    larger = with_setting(call, call.module, "num_embeddings", given.high + 1) if call.module is not None else None
    if larger is not None:
        yield Fix(larger, (ChangeSetting("num_embeddings", given.high + 1),))
    if given.low > 0 and given.high == size and given.site is not None:
        yield Fix(f"{enclosed(given.spelled)} - 1", (ChangeOperand(given.name, "sub", (1,)),))


def _state_alone(call: FailedCall, message: str) -> Excess | None:
    """An LSTM takes the pair of its states apart by indexing."""
    state = call.operand("hx")
    if call.module is None or call.function != "LSTM" or state is None or "is out of bounds for dim" not in message:
        return None
    name = title(call.module)
    fact = f"{name} got one tensor as its state but takes a pair, (h, c)"
    return Excess(first_that_fits(fact, f"{name} got one tensor but takes a pair"), state, "(h, c)")


_Say = Callable[[FailedCall, re.Match[str]], Excess | None]


def _told(pattern: str, say: _Say) -> Callable[[FailedCall, str], Excess | None]:
    def way(call: FailedCall, message: str) -> Excess | None:
        match = re.search(pattern, message, re.DOTALL)
        return say(call, match) if match is not None else None

    return way


def _beyond(call: FailedCall, match: re.Match[str]) -> Excess:
    index, dim, size = match.groups()
    fact = f"{_subject(call)} got index {index} for dim {dim} of size {size}"
    return Excess(fact, _holder(call, int(size)), f"an index of 0 to {int(size) - 1}", index=_plain(call, int(index)))


def _selected(call: FailedCall, match: re.Match[str]) -> Excess:
    index, sizes, dim = match.groups()
    size = sizes.split(", ")[int(dim)]
    fact = f"{_subject(call)} got index {index} for dim {dim} of size {size}"
    return Excess(fact, call.first, index=_plain(call, int(index)))


def _taken(call: FailedCall, match: re.Match[str]) -> Excess:
    index, size = match.groups()
    fact = f"{_subject(call)} got index {index} for a tensor of {size} elements"
    return Excess(fact, _holder(call, int(size)), f"an index of 0 to {int(size) - 1}")


def _index_selected(call: FailedCall, _: re.Match[str]) -> Excess | None:
    size = _size_of(call)
    if size is None:
        return None
    holder = next((operand for operand in call.operands if _is_outside(operand, size)), None)
    wrong = None if holder is None else holder.low if holder.high is None or holder.high < size else holder.high
    index = "an index" if wrong is None else f"index {wrong}"
    fact = f"{_subject(call)} got {index} outside of 0 to {size - 1}"
    return Excess(fact, holder or call.first, f"an index of 0 to {size - 1}")


def _narrowed(call: FailedCall, match: re.Match[str]) -> Excess:
    start, length, size = map(int, match.groups())
    return Excess(f"{_subject(call)} got {start} + {length} = {start + length} for a dim of size {size}", call.first)


def _unpooled(call: FailedCall, match: re.Match[str]) -> Excess:
    index, height, width = match.groups()
    fact = f"{_subject(call)} got index {index} for an output of {height} x {width}"
    return Excess(fact, call.operand("indices") or call.first)


def _first_offset(call: FailedCall, match: re.Match[str]) -> Excess:
    fact = f"{_subject(call)} got offsets that begin with {match[1]} but takes 0 first"
    return Excess(fact, call.operand("offsets"), "offsets that begin with 0")


def _last_offset(call: FailedCall, match: re.Match[str]) -> Excess:
    fact = f"{_subject(call)} got offsets up to {match[2]} but {match[1]} indices"
    return Excess(fact, call.operand("offsets"), f"offsets of 0 to {match[1]}")


def _too_many_indices(call: FailedCall, _: re.Match[str]) -> Excess:
    source = call.first
    rank = len(source.meta.shape) if source is not None else 0
    most = "no index" if rank == 0 else "one index" if rank == 1 else f"{rank} indices"
    sizes = list(source.meta.shape) if source is not None else []
    got = f"takes {most}, but got {'more' if rank else 'one'}"
    name = _subject(call)
    return Excess(first_that_fits(f"{name} is {sizes} and {got}", f"{name} {got}"), source)


def _too_few(call: FailedCall, _: re.Match[str]) -> Excess | None:
    size, asked = _size_of(call), _asked(call)
    if size is None or asked is None:
        return Excess(f"{_subject(call)} got more to choose than there is", call.first)
    fact = f"`{call.function}` got {asked.value} to choose from {size}"
    name = asked.site.code if asked.site is not None else ""
    fixes = (Fix(f"{name} = {size}", (ChangeSetting(asked.name, size),)),) if name.isidentifier() else ()
    return Excess(fact, call.first, index=asked, fixes=fixes)


def _empty(call: FailedCall, _: re.Match[str]) -> Excess:
    sizes = list(call.first.meta.shape) if call.first is not None else ""
    return Excess(f"`{call.function}` got {sizes or 'a tensor'}, which holds no value to choose", call.first)


_MESSAGES: dict[str, _Say] = {
    r"index (-?\d+) is out of bounds for dimension (\d+) with size (\d+)": _beyond,
    r"index (-?\d+) out of range for tensor of size \[([\d, ]*)\] at dimension (\d+)": _selected,
    r"tried to access index (-?\d+) on a tensor of (\d+) elements": _taken,
    r"index out of range in self": _index_selected,
    r"start \((-?\d+)\) \+ length \((\d+)\) exceeds dimension size \((\d+)\)": _narrowed,
    r"invalid max index: (-?\d+) \(output volumes are of size (\d+)x(\d+)": _unpooled,
    r"offsets\[0\] has to be 0.*However, got\s+(-?\d+)": _first_offset,
    r"offsets\[-1\] can not be greater than input's length (\d+) but got offsets\[-1\] of (\d+)": _last_offset,
    r"too many indices for tensor of dimension|invalid index of a 0-dim tensor": _too_many_indices,
    r"selected (?:index k|number k) out of range|cannot sample n_sample >": _too_few,
    r"Expected reduction dim (?:\d+ to have non-zero size|to be specified for input)": _empty,
}


def _subject(call: FailedCall) -> str:
    """What got the index: a layer, an indexed tensor, or a function."""
    if call.module is not None:
        return title(call.module)
    is_indexed = call.function in ("getitem", "setitem", "") and call.first is not None
    return f"`{short(call.first.spelled)}`" if is_indexed and call.first is not None else f"`{call.function}`"


def _holder(call: FailedCall, size: int) -> Operand | None:
    """The tensor of indices of which one lies outside; else what is indexed."""
    return next((operand for operand in call.operands if _is_outside(operand, size)), call.first)


def _plain(call: FailedCall, index: int) -> Setting | None:
    return next((setting for setting in call.settings if setting.value == index and setting.name != "dim"), None)


def _size_of(call: FailedCall) -> int | None:
    """The size of the dim that the call works along: the last where it says none."""
    if call.first is None or not call.first.meta.shape:
        return None
    shape = call.first.meta.shape
    dim = _setting(call, "dim", "0" if call.function == "index_select" else "1")
    along = dim.value if dim is not None and isinstance(dim.value, int) and call.function != "multinomial" else -1
    return shape[along] if -len(shape) <= along < len(shape) else None


def _asked(call: FailedCall) -> Setting | None:
    numbers = [setting for setting in call.settings if type(setting.value) is int and setting.name != "dim"]
    named = [setting for setting in numbers if setting.name in ("k", "num_samples")]
    return next(iter([*named, *numbers]), None)


def _setting(call: FailedCall, *names: str) -> Setting | None:
    return next((found for name in names if (found := call.setting(name)) is not None), None)
