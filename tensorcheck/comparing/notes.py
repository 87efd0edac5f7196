"""What may be why two runs part at a place, read from the operations before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.comparing.comparison import Unmatched
from tensorcheck.comparing.matching import Renames, renamed_parameter
from tensorcheck.elementwise import plain_name
from tensorcheck.trace import Operation, Origin, Trace, Value

_RANDOM = frozenset(
    [
        *("dropout", "alpha_dropout", "feature_dropout", "dropout1d", "dropout2d", "dropout3d", "rrelu"),
        *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "uniform"),
        *("bernoulli", "multinomial", "poisson", "exponential", "random", "gumbel_softmax", "trunc_normal"),
    ]
)


@dataclass(frozen=True, slots=True)
class Sides:
    """Two steps, and what is known so far of how they match."""

    left: Trace
    right: Trace
    renames: Renames
    unmatched: Sequence[Unmatched]


def notes_of_source(value: Value, step: int) -> Iterator[str]:
    """Of what was there before the step.

    >>> from tensorcheck.tensors import TensorMeta
    >>> list(notes_of_source(Value(TensorMeta((), "int64", "cpu"), origin=Origin.BATCH), 0))
    ['the batches already differ: other data, or another order of it']
    """
    if value.origin is Origin.PARAMETER:
        when = "before the first step" if not step else "when this step begins"
        yield f"the weights already differ {when}: another seed, another initialisation or another checkpoint"
    elif value.origin is Origin.BATCH:
        yield "the batches already differ: other data, or another order of it"


def notes_of_result(sides: Sides, left: Operation, right: Operation) -> Iterator[str]:
    """Of what two operations made."""
    if plain_name(left) != plain_name(right):
        yield f"it is `{left.name}` in the first, `{right.name}` in the second"
    if plain_name(left) in _RANDOM:
        yield "it draws random numbers, which follow from the seed, the device, and what was drawn before"
    yield from _inputs_of_one(sides, left, right)
    yield from _on_the_way(sides, left, is_left=True)
    yield from _on_the_way(sides, right, is_left=False)


def _inputs_of_one(sides: Sides, left: Operation, right: Operation) -> Iterator[str]:
    ours = [renamed_parameter(sides.left.values[place].name, sides.renames) for place in left.inputs]
    theirs = [sides.right.values[place].name for place in right.inputs]
    for names, others, which in ((ours, theirs, "first"), (theirs, ours, "second")):
        yield from (f"only the {which} reads `{name}`" for name in names if name and name not in others)


def _on_the_way(sides: Sides, operation: Operation, *, is_left: bool) -> Iterator[str]:
    """The operations that only one run has and that the values went through."""
    alone = [each.what for each in sides.unmatched if each.is_left is is_left]
    if not alone:
        return
    trace, which = (sides.left, "first") if is_left else (sides.right, "second")
    made = {trace.values[each].operation for place in operation.inputs for each in trace.ancestors(place)}
    for place in sorted(place for place in made if place is not None):
        if any(trace.operations[place] is each for each in alone):
            yield f"on the way to it, only the {which} has {trace.operations[place]}"
