"""What the model and its modules did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tensorcheck.events.event import Event, Instrument
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.lineage import Lineage
from tensorcheck.modules import ModuleMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor
from tensorcheck.trace import Operation


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
class ModeSet(Event):
    """`train` or `eval` was called on the model, at a place where it had not been called before."""

    is_training: bool
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


@dataclass(frozen=True, slots=True)
class DroppedInEvaluation(Event):
    """A function dropped out in a module that is in evaluation mode, and its call does not say for which mode it is."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (ForwardFinished,)

    function: str
    module: str
    """The dotted path of the module."""
    kind: str
    probability: float
    site: Site


@dataclass(frozen=True, slots=True)
class OutputSampled(Event):
    """In a traced step, or one of a few later ones, the model returned in training for a batch of different samples."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    is_constant: bool
    """Whether all of its outputs are the same for every sample, and not zero."""
    outputs: tuple[NamedTensor, ...]
    site: Site | None


@dataclass(frozen=True, slots=True)
class EvaluatedWithGradients(Event):
    """The model was called several times in evaluation mode with gradients tracked, and nothing was differentiated."""

    kind: str
    """The model's class."""
    calls: int
    site: Site
    """The call."""


def returned_with_gradient(calls: Sequence[ModuleCalled], given: NamedTensor) -> ModuleCalled | None:
    """The last of these calls that returned what looks like this tensor, but with a gradient.

    >>> from tensorcheck.tensors import TensorMeta
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
