"""Targets that a network computes from its own next output, as temporal-difference learning does, read from a trace."""

from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.trace import Operation, Origin, Trace

_LOSSES = frozenset({"mse_loss", "smooth_l1_loss", "huber_loss", "l1_loss"})
_DISTANCES = frozenset({"square", "pow", "abs", "__pow__"})
_DIFFERENCES = frozenset({"sub", "__sub__"})
_SUMS = frozenset({"add", "__add__", "__radd__", "sub", "__sub__", "__rsub__"})
_PRODUCTS = frozenset({"mul", "__mul__", "__rmul__"})


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """A target with a gradient."""

    made: Operation
    """The sum that it is."""
    compared: Operation
    """The loss, or the difference, that the prediction is compared with it in."""


def bootstrapped(trace: Trace) -> Iterator[Bootstrapped]:
    """Comparisons of a prediction with a target of the same parameters that was discounted and added to a reward."""
    for compared, prediction, target in _comparisons(trace):
        made = trace.values[target].operation
        is_alike = _parameters(trace, prediction) & _parameters(trace, target)
        if made is not None and is_alike and _is_return(trace, target) and not _is_return(trace, prediction):
            yield Bootstrapped(trace.operations[made], compared)


def _comparisons(trace: Trace) -> Iterator[tuple[Operation, int, int]]:
    """The losses and squared differences of two values that both carry a gradient: the prediction and the target."""
    squared = {op.inputs[0] for op in trace.operations if op.name in _DISTANCES and op.inputs}
    for operation in trace.operations:
        is_difference = operation.name in _DIFFERENCES and squared.intersection(operation.outputs)
        if (operation.name in _LOSSES or is_difference) and len(operation.inputs) > 1:
            one, other = operation.inputs[:2]
            if trace.values[one].meta.requires_grad and trace.values[other].meta.requires_grad:
                yield operation, one, other
                if is_difference:
                    yield operation, other, one


def _is_return(trace: Trace, value: int) -> bool:
    """Whether a value is a sum of something without a gradient and a product with one, made outside of any module."""
    made = trace.values[value].operation
    operation = trace.operations[made] if made is not None else None
    if operation is None or operation.name not in _SUMS or operation.kind or len(operation.inputs) != _TWO:
        return False
    carrying = [each for each in operation.inputs if trace.values[each].meta.requires_grad]
    return len(carrying) == 1 and _is_discounted(trace, carrying[0])


_TWO = 2


def _is_discounted(trace: Trace, value: int) -> bool:
    """Whether a value was multiplied, outside of any module, since the network gave it."""
    for each in trace.chain(value):
        operation = trace.operations[each.operation] if each.operation is not None else None
        if operation is None or operation.kind:
            return False
        if operation.name in _PRODUCTS:
            return True
    return False


def _parameters(trace: Trace, value: int) -> set[int]:
    return {each for each in trace.ancestors(value) if trace.values[each].origin is Origin.PARAMETER}
