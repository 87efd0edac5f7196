"""Pairs that nobody asked for: a column that meets a row, and all pairs summed up.

Code that wants all pairs says so: it puts in a dim with `unsqueeze`, `None`, `view` or `keepdim`, takes the pairs from
one tensor, or reduces one of the two dims alone. Where a layer, a derivative or a batch gave the column and everything
that is made of the pairs is an average or a sum over them all, the shapes met by chance.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from tensorcheck.broadcasting import common_shape
from tensorcheck.elementwise import is_comparison, is_elementwise, is_loss, plain_name
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Operation, Origin, Trace

_DIFFERENCES = frozenset({"sub", "subtract", "rsub"})
_MAKERS = frozenset(
    [
        *("linear", "bilinear", "grad", "gather", "embedding", "conv1d", "conv2d", "conv3d"),
        *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    ]
)
"""Layers, and what differentiates by a column, as differential equations do: that gives a column too."""
_CHOICES = frozenset({"argmax", "argmin", "max", "topk"})
"""What chooses a class for each sample and leaves a column, which nobody compares with all labels on purpose."""
_OVER_PAIRS = frozenset({"cross_entropy", "softmax", "log_softmax", "logsumexp", "sigmoid", "logsigmoid", "sort"})
"""What is done to a table of all pairs that is meant to be one."""
_WITH_DIMS = frozenset(["mean", "sum", "amax", "amin", "logsumexp", "norm", "view", "reshape", "unsqueeze", "expand"])
"""Functions whose user says what dims the result has, even where they stay as they are."""
_PARTS = frozenset({"__getitem__", "chunk", "split", "tensor_split", "narrow"})
"""What cuts a tensor into columns: of what a layer gives, such as a mean and a spread."""
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Meeting:
    """An operation on `[n]` and `[n, 1]`, or on tensors with more dims of which one has a 1 too many."""

    operation: Operation
    left: TensorMeta
    right: TensorMeta
    column_is_left: bool
    made: Site | None
    """Where the column was made."""
    row: Site | None
    """Where the row got its shape."""

    result: tuple[int, ...]
    """The shape in which they met."""
    dim: int
    """The dim of the column that is too many."""

    @property
    def is_difference(self) -> bool:
        """Whether it subtracts, as a loss does."""
        return plain_name(self.operation) in _DIFFERENCES

    @property
    def is_comparison(self) -> bool:
        """Whether it compares, as a metric does."""
        return is_comparison(self.operation)


def chance_meetings(trace: Trace) -> Iterator[Meeting]:
    """The operations of a traced step that make pairs which nobody asked for."""
    for operation in trace.operations:
        if is_elementwise(operation) and not is_loss(operation) and len(operation.inputs) == _LEAST:
            yield from _meeting(trace, operation)


def _excess(column: tuple[int, ...], row: tuple[int, ...]) -> int | None:
    """The dim of size 1, behind the first, without which the column has the shape of the row."""
    dims = [dim for dim in range(1, len(column)) if column[dim] == 1 and column[:dim] + column[dim + 1 :] == row]
    return dims[-1] if dims else None


def _meeting(trace: Trace, operation: Operation) -> Iterator[Meeting]:
    left, right = (trace.values[place].meta for place in operation.inputs)
    column, row = operation.inputs if len(left.shape) > len(right.shape) else operation.inputs[::-1]
    sizes, shape = trace.values[row].meta.shape, trace.values[column].meta.shape
    result, dim = common_shape([sizes, shape]), _excess(shape, sizes)
    if dim is None or result is None or result in (sizes, shape) or sizes[0] < _LEAST:
        return
    maker = _maker_of_column(trace, column, _MAKERS | _CHOICES if is_comparison(operation) else _MAKERS)
    if maker is None or maker in set(trace.ancestors(row)) or not _is_reduced_whole(trace, operation):
        return
    is_whole = trace.values[maker].meta.shape == trace.values[column].meta.shape
    made, got = (
        _site(trace, maker if is_whole else _first_of_shape(trace, column)),
        _site(trace, _first_of_shape(trace, row)),
    )
    yield Meeting(operation, left, right, column is operation.inputs[0], made, got, result, dim)


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


def _maker_of_column(trace: Trace, column: int, makers: AbstractSet[str]) -> int | None:
    """The value of a layer, of a derivative or of a batch that the column is, but for functions of each element."""
    shape = trace.values[column].meta.shape
    place: int | None = column
    while place is not None and trace.values[place].meta.shape == shape:
        value = trace.values[place]
        if value.origin is Origin.BATCH:
            return place
        made_by = trace.operations[value.operation].name if value.operation is not None else ""
        if made_by in makers:
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
        others = (place for place in later.inputs if place not in pairs)
        if later.name in _OVER_PAIRS or any(trace.values[place].meta.shape == size for place in others):
            return False
        for place in later.outputs:
            shape = trace.values[place].meta.shape
            is_reduced |= shape == ()
            if _has_within(shape, size):
                pairs.add(place)
            elif shape != ():
                return False
    return is_reduced
