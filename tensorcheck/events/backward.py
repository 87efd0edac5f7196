"""What losses, `backward` and gradients did."""

from dataclasses import dataclass
from typing import ClassVar

from tensorcheck.calls import Operand
from tensorcheck.events.event import Event, Instrument
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


@dataclass(frozen=True, slots=True)
class Fed:
    """The function that a tensor came out of last, but for views, casts, indexing, dropout and scalings.

    >>> Fed("softmax").by
    'softmax'
    """

    by: str
    """`softmax`, `log_softmax`, `sigmoid`, `relu`, `clamp`, or the layer that it left: `linear`, `conv`."""
    before: str = ""
    """What that function's own input came out of, likewise."""
    is_scaled: bool = False
    """Whether it was multiplied by a number after."""
    site: Site | None = None
    """The user's line that called it, where the step was traced."""
    module: str = ""
    """The dotted path of the module that it ran in."""
    kind: str = ""
    """The class of that module."""
    built: Site | None = None
    """Where that module was built, if it is a layer that does nothing else."""


@dataclass(frozen=True, slots=True)
class TargetValues:
    """What the targets of a loss are like, which takes them whatever they are."""

    lowest: float
    highest: float
    is_whole: bool
    """Whether they all are integers."""
    hot: int
    """How many of one sample's are not 0, at most, along the dim of the classes."""


@dataclass(frozen=True, slots=True)
class LossComputed(Event):
    """A loss of `torch.nn.functional` returned, with operands not seen before."""

    function: str
    """Its name there: `mse_loss`."""
    input: Operand
    target: Operand
    """Where these came from is known where their shapes differ."""
    output: TensorMeta
    reduction: str
    site: Site | None
    fed: Fed | None = None
    """What its input came out of, if that is known and no evaluation."""
    least_target: float | None = None
    """The least of its targets, of a loss that is fed with what can't be negative; else None."""
    first_value: float | None = None
    """What came out, if that was before the first step of an optimizer and its input is known to come from a layer."""
    target_values: TargetValues | None = None
    """What its targets are like, where that was read: of losses that read meaning into numbers."""


@dataclass(frozen=True, slots=True)
class BackwardFinished(Event):
    """`backward` returned."""

    site: Site | None


@dataclass(frozen=True, slots=True)
class GradientsArrived(Event):
    """In a traced step, an optimizer was about to step: which of the parameters that want a gradient have one."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    reached: tuple[str, ...]
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZeroedElsewhere(Event):
    """`zero_grad` was called on an optimizer that holds no parameter of the model, or on another module."""

    site: Site | None
