"""Where a value that leads to the loss was promoted to a wider dtype by another that nobody asked to be so wide."""

from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.elementwise import MASKED, is_comparison, is_elementwise, operands, plain_name
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor
from tensorcheck.trace import Operation, Origin, Trace, Value

_WORDS = {"float64": ("float64", "double"), "float32": ("float32", "float(", "float)")}
"""What code says that asks for a dtype."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """An operation of two dtypes that was computed in the wider one."""

    operation: Operation
    narrow: NamedTensor
    wide: NamedTensor
    source: Value
    """What the wider operand was in the beginning."""
    made: Operation | None
    """What made that."""

    @property
    def site(self) -> Site | None:
        """Where the wide one was made, if that was seen; else where both met."""
        return self.made.site if self.made is not None and self.made.site is not None else self.operation.site


def promotions(trace: Trace, narrow: tuple[str, ...], wide: str) -> Iterator[Promotion]:
    """The first promotion of these by each source that is wide without having been asked to be.

    >>> list(promotions(Trace(0), ("float32",), "float64"))
    []
    """
    sources: set[int] = set()
    for operation in trace.operations:
        meeting = _meeting(trace, operation, narrow, wide)
        if meeting is not None:
            place, source = meeting[1], _source(trace, meeting[1])
            if source not in sources and not _is_asked_for(trace, place, wide):
                sources.add(source)
                yield _promotion(trace, operation, meeting)


def _meeting(trace: Trace, operation: Operation, narrow: tuple[str, ...], wide: str) -> tuple[int, int] | None:
    """The narrow and the wide operand, both with dims, of an operation that passes a gradient on."""
    if not is_elementwise(operation) or is_comparison(operation) or plain_name(operation) in MASKED:
        return None
    made = [trace.values[place].meta for place in operation.outputs]
    if not made or made[0].dtype != wide or not made[0].requires_grad:
        return None
    metas = {place: trace.values[place].meta for place in operation.inputs}
    slim = [place for place, meta in metas.items() if meta.dtype in narrow and meta.requires_grad and meta.shape]
    broad = [place for place, meta in metas.items() if meta.dtype == wide and meta.shape]
    return (slim[0], broad[0]) if slim and broad else None


def _source(trace: Trace, place: int) -> int:
    while (before := next(iter(trace.inputs(place)), None)) is not None:
        place = before
    return place


def _is_asked_for(trace: Trace, place: int, wide: str) -> bool:
    """Whether a narrower number was cast on the way, or the code that made it names the dtype."""
    for ancestor in trace.ancestors(place):
        made = trace.values[ancestor].operation
        operation = trace.operations[made] if made is not None else None
        if operation is None or trace.values[ancestor].meta.dtype != wide:
            continue
        given = [trace.values[each].meta for each in operation.inputs]
        is_cast = bool(given) and all(meta.dtype != wide for meta in given)
        code = operation.site.code if operation.site is not None else ""
        if is_cast or any(word in code for word in _WORDS[wide]):
            return True
    return False


def _promotion(trace: Trace, operation: Operation, meeting: tuple[int, int]) -> Promotion:
    spelled = dict(zip(operation.inputs, operands(trace, operation), strict=True))
    source = trace.values[_source(trace, meeting[1])]
    made = trace.operations[source.operation] if source.operation is not None else None
    return Promotion(operation, spelled[meeting[0]], spelled[meeting[1]], source, made)


def is_of_parameter(promotion: Promotion) -> bool:
    """Whether a parameter is what is wide.

    >>> from tensorcheck.tensors import TensorMeta
    >>> meta = TensorMeta((4,), "float64", "cpu")
    >>> named = NamedTensor("scale", meta)
    >>> meeting = Operation("mul", "", "", None, inputs=(), outputs=())
    >>> is_of_parameter(Promotion(meeting, named, named, Value(meta, origin=Origin.PARAMETER), None))
    True
    """
    return promotion.source.origin is Origin.PARAMETER


def parameter_dtypes(trace: Trace) -> frozenset[str]:
    """The dtypes of the real parameters that a step used.

    >>> parameter_dtypes(Trace(0))
    frozenset()
    """
    used = (value.meta for value in trace.values if value.origin is Origin.PARAMETER)
    return frozenset(meta.dtype for meta in used if meta.is_floating_point)
