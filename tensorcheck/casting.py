"""Every change of dtype that nobody asked for in a traced step: an operand, promoted to another's dtype."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tensorcheck.elementwise import MASKED, is_comparison, is_elementwise, operands, plain_name, promoted
from tensorcheck.sites import Site
from tensorcheck.tables import Layout, Table
from tensorcheck.tensors import NamedTensor
from tensorcheck.trace import Operation, Trace

_JOINING = frozenset(["cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack"])
_OF_REALS = frozenset(
    [
        *("sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "tanh", "sin", "cos"),
        *("tan", "asin", "acos", "atan", "sinh", "cosh", "erf", "erfc", "reciprocal", "deg2rad", "rad2deg", "lgamma"),
    ]
)
"""Functions that make real numbers of integers."""


@dataclass(frozen=True, slots=True)
class Cast:
    """One operand of an operation, which was computed in another dtype.

    >>> from tensorcheck.tensors import TensorMeta
    >>> print(Cast("mul", None, "", "", NamedTensor("rows", TensorMeta((8,), "float32", "cpu")), "float64"))
    mul: rows: float32[8] cpu -> float64
    """

    operation: str
    site: Site | None
    module: str
    """The dotted path of the module that it ran in; empty outside of all but the watched model itself."""
    kind: str
    operand: NamedTensor
    dtype: str
    """What it was promoted to."""
    count: int = 1
    """How often it was done like this."""

    def __str__(self) -> str:
        name = f"{self.operand.name}: " if self.operand.name else ""
        return f"{self.operation}: {name}{self.operand.meta} -> {self.dtype}"


@dataclass(frozen=True, slots=True)
class CastTable(Table):
    """The promotions of one step, each line with the same shapes once.

    >>> print(CastTable(2, ()))
    step 2: no operand was promoted to another dtype
    """

    step: int
    rows: tuple[Cast, ...]

    def layout(self) -> Layout:
        """The table."""
        if not self.rows:
            return Layout((), (), f"step {self.step}: no operand was promoted to another dtype")
        head = ("where", "expression", "operand", "was", "became", "module", "times")
        return Layout(head, [_cells(row) for row in self.rows], f"step {self.step}", frozenset({"times"})).filled()


def _cells(row: Cast) -> tuple[str, ...]:
    place, code = (str(row.site), row.site.code) if row.site is not None else ("", "")
    operand = row.operand
    return place, code or row.operation, operand.name, operand.meta.notation, row.dtype, row.module, str(row.count)


def casts(trace: Trace) -> CastTable:
    """The promotions of a traced step, in the order in which they were first done.

    >>> casts(Trace(0)).rows
    ()
    """
    counts = Counter(_casts(trace))
    return CastTable(trace.step, tuple(replace(row, count=count) for row, count in counts.items()))


def _casts(trace: Trace) -> Iterator[Cast]:
    for operation in trace.operations:
        given = _values_of(trace, operation)
        if given and operation.outputs:
            dtype = _computed_in(trace, operation)
            for operand in given:
                if operand.meta.dtype != dtype:
                    yield Cast(operation.name, operation.site, operation.module, operation.kind, operand, dtype)


def _values_of(trace: Trace, operation: Operation) -> list[NamedTensor]:
    """The operands that count: not the mask of `where`, and a number without dims only among others of its kind."""
    name = plain_name(operation)
    if not (is_elementwise(operation) or name in _JOINING or name in _OF_REALS):
        return []
    given = operands(trace, operation)
    if name in MASKED:
        given = tuple(operand for operand in given if operand.meta.dtype != "bool")
    return [operand for operand in given if operand.meta.shape] or list(given)


def _computed_in(trace: Trace, operation: Operation) -> str:
    if is_comparison(operation):
        return promoted([operand.meta for operand in operands(trace, operation)])
    return trace.values[operation.outputs[0]].meta.dtype
