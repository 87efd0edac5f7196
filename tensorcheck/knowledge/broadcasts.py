"""Pairs that nobody asked for: a column subtracted from a row, and the square of all pairs summed up.

Code that wants all pairs says so: it puts in a dim with `unsqueeze`, `None`, `view` or `keepdim`, takes the pairs from
one tensor, or reduces one of the two dims alone. Where a layer, a derivative or a batch gave the column and everything
that is made of the pairs is an average or a sum over them all, the shapes met by chance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Operation, Origin, Trace

_MEETING = frozenset({"sub", "subtract", "__sub__", "__rsub__", "rsub"})
_MAKERS = frozenset({"linear", "bilinear", "grad"})
"""Layers, and what differentiates by a column, as differential equations do: that gives a column too."""
_WITH_DIMS = frozenset(["mean", "sum", "amax", "amin", "logsumexp", "norm", "view", "reshape", "unsqueeze", "expand"])
"""Functions whose user says what dims the result has, even where they stay as they are."""
_PARTS = frozenset({"__getitem__", "chunk", "split", "tensor_split", "narrow"})
"""What cuts a tensor into columns: of what a layer gives, such as a mean and a spread."""
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Meeting:
    """A subtraction of `[n]` and `[n, 1]`."""

    operation: Operation
    left: TensorMeta
    right: TensorMeta
    column_is_left: bool
    made: Site | None
    """Where the column was made."""
    row: Site | None
    """Where the row got its shape."""

    @property
    def size(self) -> int:
        """The n."""
        return self.left.shape[0]


def chance_meetings(trace: Trace) -> Iterator[Meeting]:
    """The subtractions of a traced step that make pairs which nobody asked for."""
    for operation in trace.operations:
        if operation.name in _MEETING and len(operation.inputs) == _LEAST:
            yield from _meeting(trace, operation)


def _meeting(trace: Trace, operation: Operation) -> Iterator[Meeting]:
    left, right = (trace.values[place].meta for place in operation.inputs)
    column, row = operation.inputs if len(left.shape) > len(right.shape) else operation.inputs[::-1]
    sizes = trace.values[row].meta.shape
    if len(sizes) != 1 or sizes[0] < _LEAST or trace.values[column].meta.shape != (*sizes, 1):
        return
    maker = _maker_of_column(trace, column)
    if maker is None or maker in set(trace.ancestors(row)) or not _is_reduced_whole(trace, operation):
        return
    is_whole = trace.values[maker].meta.shape == trace.values[column].meta.shape
    made, got = (
        _site(trace, maker if is_whole else _first_of_shape(trace, column)),
        _site(trace, _first_of_shape(trace, row)),
    )
    yield Meeting(operation, left, right, column is operation.inputs[0], made, got)


def _site(trace: Trace, place: int) -> Site | None:
    """Where a value was made."""
    made = trace.values[place].operation
    return trace.operations[made].site if made is not None else None


def _first_of_shape(trace: Trace, place: int) -> int:
    """The first value on the way to one, by first inputs, that has its shape."""
    shape = trace.values[place].meta.shape
    while (before := next(iter(trace.inputs(place)), None)) is not None and trace.values[before].meta.shape == shape:
        place = before
    return place


def _maker_of_column(trace: Trace, column: int) -> int | None:
    """The value of a layer, of a derivative or of a batch that the column is, but for functions of each element."""
    shape = trace.values[column].meta.shape
    place: int | None = column
    while place is not None and trace.values[place].meta.shape == shape:
        value = trace.values[place]
        if value.origin is Origin.BATCH:
            return place
        made_by = trace.operations[value.operation].name if value.operation is not None else ""
        if made_by in _MAKERS:
            return place
        if made_by in _PARTS:
            return _layer_of(trace, next(iter(trace.inputs(place)), None))
        if made_by in _WITH_DIMS:
            return None
        place = next(iter(trace.inputs(place)), None)
    return None


def _layer_of(trace: Trace, whole: int | None) -> int | None:
    """The value of a layer that a column is cut from, if it is one but for functions of each element."""
    place, shape = whole, trace.values[whole].meta.shape if whole is not None else ()
    while place is not None and trace.values[place].meta.shape == shape:
        made = trace.values[place].operation
        if made is not None and trace.operations[made].name in _MAKERS:
            return place
        place = next(iter(trace.inputs(place)), None)
    return None


def _has_within(shape: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether all pairs are still there, alone or stacked with others."""
    rest = iter(shape)
    return all(each in rest for each in size)


def _is_reduced_whole(trace: Trace, operation: Operation) -> bool:
    """Whether everything that is made of the pairs is pairs too, or one number."""
    pairs, size = set(operation.outputs), trace.values[operation.outputs[0]].meta.shape
    is_reduced = False
    for later in trace.operations:
        if pairs.isdisjoint(later.inputs):
            continue
        for place in later.outputs:
            shape = trace.values[place].meta.shape
            is_reduced |= shape == ()
            if _has_within(shape, size):
                pairs.add(place)
            elif shape != ():
                return False
    return is_reduced
