"""What happened, in the past tense: the plain facts that probes emit and rules judge.

An event holds no tensor, module or frame, so nothing outlives its step because of it and a rule can be tried on one
that was written by hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.differentiation import Differentiation, Trainable
from tensorcheck.fixes import Fix
from tensorcheck.lineage import Lineage
from tensorcheck.loading import Loading
from tensorcheck.modules import LoaderMeta, ModuleMeta
from tensorcheck.optimizing import OddState, ScheduleEnd
from tensorcheck.restoring import Restoring
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor, TensorMeta
from tensorcheck.trace import Operation, Trace


class Instrument(StrEnum):
    """What has to be on for an event to be seen."""

    GUARD = "guard"
    """Every step, at the model's root only."""
    TRACE = "trace"
    """The first steps, and again when something new is seen."""
    CRASH = "crash"
    """Nothing in advance: an exception's own traceback."""
    EXPERIMENT = "experiment"
    """A question put to a copy of the model."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that PyTorch did while a model was watched."""

    instrument: ClassVar[Instrument] = Instrument.GUARD

    step: int
    """How many optimizer steps the model had taken before."""


@dataclass(frozen=True, slots=True)
class BatchLoaded(Event):
    """A DataLoader handed out a batch whose fields look like none before."""

    fields: tuple[NamedTensor, ...]
    loader: LoaderMeta
    site: Site | None


@dataclass(frozen=True, slots=True)
class ForwardFinished(Event):
    """The watched model returned, in a way (its mode, its tensors' metadata) not seen before."""

    model: ModuleMeta
    is_training: bool
    is_grad_enabled: bool
    inputs: tuple[NamedTensor, ...]
    outputs: tuple[NamedTensor, ...]
    trainable: int
    """How many of its parameters require a gradient."""
    site: Site | None
    """The user's line that called it."""


@dataclass(frozen=True, slots=True)
class ModeSwitched(Event):
    """The watched model was called in another mode than the time before."""

    is_training: bool
    site: Site | None


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
class ZeroedElsewhere(Event):
    """`zero_grad` was called on an optimizer that holds no parameter of the model, or on another module."""

    site: Site | None


@dataclass(frozen=True, slots=True)
class ModeSet(Event):
    """`train` or `eval` was called on the model, at a place where it had not been called before."""

    is_training: bool
    site: Site | None


@dataclass(frozen=True, slots=True)
class OptimizerSeen(Event):
    """An optimizer with parameters of the model stepped for the first time, or with others than before."""

    kind: str
    held: tuple[str, ...]
    """The dotted paths of the model's parameters that it holds."""
    held_frozen: tuple[str, ...]
    """Those of them that do not require a gradient."""
    built: Site | None
    """Where it was built, if that was while the model was watched."""
    site: Site | None
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of the modules that have parameters of their own, by their dotted paths."""


@dataclass(frozen=True, slots=True)
class ParametersForgotten(Event):
    """Parameters want and have a gradient, no optimizer that is alive holds them, and nothing else moved them."""

    kind: str
    """The class of the optimizer that stepped without them."""
    held: int
    """How many of the model's parameters it holds."""
    forgotten: tuple[NamedTensor, ...]
    """Parameters of the model; those too that the model holds without having registered them, and those of a loss
    beside it."""
    built: Site | None
    """Where the optimizer was built, if that was while the model was watched."""
    site: Site | None
    lineage: Lineage = field(default_factory=Lineage)
    """Where the optimizer came from, and so what it was given."""
    definitions: tuple[Site, ...] = ()
    """Where the modules of those that were forgotten were built."""
    containers: tuple[str, ...] = ()
    """The attributes that are plain lists or dictionaries and hold some of them."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of the modules that have parameters of their own, by their dotted paths."""


@dataclass(frozen=True, slots=True)
class CopyTrained(Event):
    """An optimizer stepped on parameters without gradients, while those of a module just like theirs have some."""

    kind: str
    """The optimizer's class."""
    held: int
    """How many parameters it holds that want a gradient; none has one."""
    trained: str
    """How the running code calls the module whose parameters have gradients and are in no optimizer."""
    gradients: int
    """How many of them have one."""
    built: Site | None
    """Where the optimizer was built, if that was while the model was watched."""
    site: Site | None
    lineage: Lineage = field(default_factory=Lineage)
    """Where the module that has the gradients came from."""


@dataclass(frozen=True, slots=True)
class StepTaken(Event):
    """An optimizer that holds parameters of the model stepped, in a way not seen before."""

    kind: str
    is_training: bool
    """The mode in which the model was last called with gradients on."""
    mode_layers: tuple[str, ...]
    """The classes of its layers that act differently in training and in evaluation: dropout, batch normalisation."""
    gradients_carried: int
    """How many steps in a row, this one included, added their gradients to those of the step before; 2 is many."""
    backwards: int
    """How many times `backward` had returned before."""
    site: Site | None
    optimizer: str = ""
    """How the user's line spells it; empty where that line does not."""
    zeroed: Site | None = None
    """Where the gradients were first zeroed, if they were."""
    uncalled: Site | None = None
    """A statement of the running code that names `train` or `zero_grad` and does not call it, where that is missing."""


@dataclass(frozen=True, slots=True)
class SchedulerStepped(Event):
    """A learning-rate scheduler was stepped by the user, not by its own constructor, in a way not seen before."""

    kind: str
    backwards: int
    """How many times `backward` had returned before."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class ParametersFrozen(Event):
    """`requires_grad_(False)` was called on the model or a part of it."""

    module: str
    """The dotted path of that part."""
    frozen: int
    total: int
    """How many parameters the whole model has, and how many of them are frozen now."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class ModuleCalled(Event):
    """A module of the watched model returned, in a traced step."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    module: ModuleMeta
    inputs: tuple[NamedTensor, ...]
    outputs: tuple[NamedTensor, ...]
    is_grad_enabled: bool
    site: Site | None
    ungraded: NamedTensor | None = None
    """Its first input without a gradient that looks like what an earlier module returned with one."""
    cut: Operation | None = None
    """The operation on the way to that input that was given a gradient to pass on and did not."""
    lineage: Lineage = field(default_factory=Lineage)
    """Where that input came from, where no such operation was seen; else where a first input on meta came from."""


def returned_with_gradient(calls: Sequence[ModuleCalled], given: NamedTensor) -> ModuleCalled | None:
    """The last of these calls that returned what looks like this tensor, but with a gradient.

    >>> returned_with_gradient([], NamedTensor("input", TensorMeta((8, 4), "float32", "cpu"))) is None
    True
    """
    if given.meta.requires_grad or not given.meta.is_floating_point:
        return None
    alike = (given.meta.shape, given.meta.dtype)
    for call in reversed(calls):
        if any(each.meta.requires_grad and (each.meta.shape, each.meta.dtype) == alike for each in call.outputs):
            return call
    return None


@dataclass(frozen=True, slots=True)
class GradientsArrived(Event):
    """In a traced step, an optimizer was about to step: which of the parameters that want a gradient have one."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    reached: tuple[str, ...]
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepTraced(Event):
    """The first optimizer step of a traced model: everything that was computed since it was watched."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    trace: Trace


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


@dataclass(frozen=True, slots=True)
class FixTried(Event):
    """A fix that a rule had proposed for a crash was applied to a copy of what had failed."""

    instrument: ClassVar[Instrument] = Instrument.EXPERIMENT

    finding: str
    """The fingerprint of the finding that proposes it."""
    fix: Fix
    passed: str
    """What then ran to its end: `the forward and the loss pass`; empty where the same exception came again."""


@dataclass(frozen=True, slots=True)
class ProbeFailed(Event):
    """Something of tensorcheck's own raised; it was caught and switched off for the run."""

    part: str
    """The probe or rule."""
    traceback: str
