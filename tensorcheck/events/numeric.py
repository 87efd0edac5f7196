"""What the numbers of a step had become."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tensorcheck.events.event import Event, Instrument
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.peeks import Statistics
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Operation

Where = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class Range:
    """What the values of one operand or result were like.

    >>> values = Statistics(4, 0.0, 3.0, mean=1.5, std=1.29, zeros=1)
    >>> str(Range("self", TensorMeta((4,), "float32", "cpu"), values))
    'float32[4] cpu, 0 to 3, 25% zero'
    """

    name: str
    """What PyTorch calls it: `self`, `other`, `result`."""
    meta: TensorMeta
    values: Statistics

    def __str__(self) -> str:
        low, high = self.values.lowest, self.values.highest
        finite = [] if low is None or high is None else [f"{low:.3g} to {high:.3g}" if low != high else f"{low:.3g}"]
        named = {"nan": "NaN", "inf": "infinite", "zeros": "zero"}
        shares = [f"{share} {word}" for what, word in named.items() if (share := self.values.share(what))]
        return ", ".join([str(self.meta), *finite, *shares])


@dataclass(frozen=True, slots=True)
class Made:
    """An operation of the forward pass, with the values that autograd had saved of it."""

    name: str
    """Its function's, as the user called it where the line is known."""
    node: str
    """Autograd's name for it."""
    ranges: tuple[Range, ...]
    site: Site | None
    """The user's line; None where no step was traced that made the same graph."""
    module: str
    kind: str


@dataclass(frozen=True, slots=True)
class NumbersLost(Event):
    """An optimizer stepped with a gradient that is NaN or infinite, and where that began is known."""

    instrument: ClassVar[Instrument] = Instrument.GUARD
    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    where: Where
    """Whether the operation gave such a value, or only its gradient."""
    made: Made
    loss: float
    """What `backward` was called on."""
    backward: Site | None


@dataclass(frozen=True, slots=True)
class ScaledUsed(Event):
    """In two steps, gradients or a loss that a gradient scaler had multiplied were used as if they had not been."""

    how: Literal["clipped", "stepped", "scaled"]
    """The gradients were clipped, or an optimizer stepped with them; or the loss was multiplied again."""
    scale: float
    site: Site | None
    step_site: Site | None = None
    """Where the gradients would have been divided by it; None where they never are."""


@dataclass(frozen=True, slots=True)
class HalfUnscaled(Event):
    """In a traced step, gradients went through float16 with no gradient scaler alive and no scaled loss."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    operation: Operation
    """The first that computed with weights in float16."""
    count: int
    """How many such operations there were in the step."""
    zeros: float
    """The share of the gradients' values that are exactly zero."""
    backward: Site | None


@dataclass(frozen=True, slots=True)
class UpdatesVanished(Event):
    """The first three steps of an optimizer on half-precision weights were counted: how many weights stood still."""

    instrument: ClassVar[Instrument] = Instrument.GUARD
    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    optimizer: str
    """Its class."""
    dtype: str
    name: str
    """The largest parameter of that dtype."""
    still: int
    """How many of the values that were looked at should have moved and did not."""
    count: int
    """Of how many that should have."""
    size: float
    """How large a weight of the parameter typically is."""
    meant: float
    """How large a step of it typically is."""
    rate: float
    """The learning rate."""
    made: Site | None
    """What made the weights of this dtype, if that is known."""
    built: Site | None
    """Where the optimizer was built."""
    site: Site | None
    """Where it steps."""


@dataclass(frozen=True, slots=True)
class UnitsDead(Event):
    """In the traced steps, nearly all units of a layer were negative for each sample, and a ReLU made zeros of them."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    module: str
    """The path of the layer."""
    kind: str
    function: str
    """What made zeros of its output: `relu`."""
    dead: int
    units: int
    samples: int
    """Of how many samples, or places in them, a unit was seen in a step."""
    since: int
    """The step in which it was seen first: after 0 a step of the optimizer did it."""
    bias: float | None
    """The mean of the layer's bias."""
    site: Site | None
    """Where the layer was built."""
    written: Site | None
    """Where its bias got its values, if the source shows that."""
    built: Site | None
    """Where an optimizer that holds parameters of the model was built."""
    used: Site | None


@dataclass(frozen=True, slots=True)
class ActivationSaturated(Event):
    """In the traced steps, nearly all that a sigmoid or a tanh between two layers returned was at one of its limits."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    module: str
    """The path of the layer whose output it was given."""
    kind: str
    function: str
    share: float
    """Of the values, in the step with the fewest."""
    lowest: float
    highest: float
    """The range of what it was given."""
    site: Site | None
    """Where the layer was built."""
    written: Site | None
    """Where its weight got its values, if the source shows that."""
    used: Site | None


@dataclass(frozen=True, slots=True)
class ZeroMet(Event):
    """In a traced step, something was divided by what is zero or nearly so, or a logarithm was taken of it."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    is_lost: bool
    """Whether the loss became NaN or infinite by it; else what came out is finite, and enormous."""
    function: str
    lowest: float
    """The smallest absolute value that it was given."""
    zeros: int
    """How many of the values are exactly zero."""
    size: int
    """How many values there are."""
    site: Site


@dataclass(frozen=True, slots=True)
class HalfAccumulated(Event):
    """A line added to a tensor of half precision that it had added to in the step before."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    dtype: str
    shape: tuple[int, ...]
    is_average: bool
    """Whether what was there is scaled first, as in an average of weights."""
    site: Site
