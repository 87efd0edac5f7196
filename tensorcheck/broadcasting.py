"""Every broadcast that nobody asked for in a traced step: operands of unequal shapes, brought to one."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tensorcheck.elementwise import is_elementwise, operands
from tensorcheck.sites import Site
from tensorcheck.tables import Layout, Table
from tensorcheck.tensors import NamedTensor
from tensorcheck.trace import Trace


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One operation whose operands had unequal shapes.

    >>> from tensorcheck.tensors import TensorMeta
    >>> column = NamedTensor("pred", TensorMeta((8, 1), "float32", "cpu"))
    >>> row = NamedTensor("y", TensorMeta((8,), "float32", "cpu"))
    >>> print(Broadcast("sub", None, "", "", (column, row), (8, 8)))
    sub: float32[8, 1], float32[8] -> [8, 8]
    """

    operation: str
    site: Site | None
    module: str
    """The dotted path of the module that it ran in; empty outside of all but the watched model itself."""
    kind: str
    operands: tuple[NamedTensor, ...]
    """Those with dims; a tensor without any is a number, and fits everything."""
    result: tuple[int, ...]
    """The shape that they were brought to, which a loss may have reduced since."""
    count: int = 1
    """How often it was done like this."""

    def __str__(self) -> str:
        return f"{self.operation}: {_shown(self.operands)} -> {list(self.result)}"


@dataclass(frozen=True, slots=True)
class BroadcastTable(Table):
    """The broadcasts of one step, each line with the same shapes once.

    >>> print(BroadcastTable(2, ()))
    step 2: no operation broadcast its operands
    """

    step: int
    rows: tuple[Broadcast, ...]

    def layout(self) -> Layout:
        """The table."""
        if not self.rows:
            return Layout((), (), f"step {self.step}: no operation broadcast its operands")
        head = ("where", "expression", "operands", "result", "module", "times")
        return Layout(head, [_cells(row) for row in self.rows], f"step {self.step}", frozenset({"times"})).filled()


def _cells(row: Broadcast) -> tuple[str, ...]:
    place, code = (str(row.site), row.site.code) if row.site is not None else ("", "")
    return place, code or row.operation, _shown(row.operands), str(list(row.result)), row.module, str(row.count)


def _shown(tensors: Sequence[NamedTensor]) -> str:
    return ", ".join(tensor.meta.notation for tensor in tensors)


def broadcasts(trace: Trace) -> BroadcastTable:
    """The broadcasts of a traced step, in the order in which they were first done.

    >>> broadcasts(Trace(0)).rows
    ()
    """
    counts = Counter(_broadcasts(trace))
    return BroadcastTable(trace.step, tuple(replace(row, count=count) for row, count in counts.items()))


def _broadcasts(trace: Trace) -> Iterator[Broadcast]:
    for operation in trace.operations:
        if not is_elementwise(operation):
            continue
        with_dims = tuple(operand for operand in operands(trace, operation) if operand.meta.shape)
        result = common_shape([operand.meta.shape for operand in with_dims])
        if result and any(operand.meta.shape != result for operand in with_dims):
            yield Broadcast(operation.name, operation.site, operation.module, operation.kind, with_dims, result)


def common_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The shape that shapes are broadcast to; None where they can't be.

    >>> common_shape([(8, 1), (8,)]), common_shape([(3,), (4,)])
    ((8, 8), None)
    """
    dims = max(map(len, shapes), default=0)
    padded = [(*[1] * (dims - len(shape)), *shape) for shape in shapes]
    sizes = [{*column} - {1} or {1} for column in zip(*padded, strict=True)]
    return tuple(size for (size,) in sizes) if all(len(found) == 1 for found in sizes) else None
