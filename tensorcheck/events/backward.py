"""What losses, `backward` and gradients did."""

from dataclasses import dataclass
from typing import ClassVar

from tensorcheck.calls import Operand
from tensorcheck.events.event import Event, Instrument
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


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
