"""An exception."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.differentiation import Differentiation, Trainable
from tensorcheck.events.event import Event, Instrument
from tensorcheck.events.forward import ModuleCalled
from tensorcheck.loading import Loading
from tensorcheck.modules import ModuleMeta
from tensorcheck.optimizing import OddState, ScheduleEnd
from tensorcheck.restoring import Restoring
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Trace

Stage = Literal["loader", "forward", "loss", "backward", "step", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of tensorcheck's own that raised while it read a crash."""

    part: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Crashed(Event):
    """An exception left the model, a loss, `backward`, an optimizer or a DataLoader."""

    instrument: ClassVar[Instrument] = Instrument.CRASH

    stage: Stage
    error: str
    """The name of the exception's class."""
    message: str
    call: FailedCall | None
    functions: tuple[str, ...]
    """The functions of PyTorch and other packages that were running below the user's line, outermost first."""
    loss: Operand | None
    """What `backward` was called on, as its user wrote it; None in other stages."""
    trace: Trace | None
    """The operations of the same step, where it was traced."""
    cut: Operation | None
    """The operation on the way to that loss that was given a gradient and passed none on, where it was traced."""
    modules: tuple[ModuleMeta, ...]
    """The modules that were running, outermost first."""
    calls: tuple[ModuleCalled, ...]
    """The modules of the same step that had already returned, where they were traced."""
    trainable: int
    """How many parameters of the model required a gradient."""
    parameters: int
    """How many it has."""
    output_required_grad: bool | None
    """Whether the model's last output in training required a gradient; None where there was none."""
    site: Site | None
    loading: Loading | None = None
    """What a DataLoader was doing, if one was running."""
    restoring: Restoring | None = None
    """What was being restored, if a `load_state_dict` failed, or an optimizer with what it had been given by one."""
    differentiation: Differentiation | None = None
    """What stood in the way of a backward pass, if one was running."""
    trainable_models: Trainable | None = None
    """What of the models at hand could be trained, if something was to be differentiated or optimized."""
    saved: Site | None = None
    """The only `torch.save` of the user's file, if a `torch.load` failed."""
    odd_state: OddState | None = None
    """What an optimizer keeps in another dtype than its parameter has, if one was stepping."""
    schedule_end: ScheduleEnd | None = None
    """What is known of the learning-rate schedule, if one with a fixed number of steps was stepping."""
    faults: tuple[Fault, ...] = ()
    """The parts of it that could not be read."""
