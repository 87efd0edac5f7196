"""Where gradients were lost on the way from a loss to the parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from tensorcheck.differentiation import CustomFunction
from tensorcheck.events.backward import BackwardFinished
from tensorcheck.events.event import Event, Instrument
from tensorcheck.events.forward import ModuleCalled
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Operation


class CutKind(StrEnum):
    """What kind of operation gave a tensor without a gradient, though it was given one that had it."""

    DETACHED = "detached"
    """It copies the numbers and leaves the graph: `detach`, `item`, `torch.tensor`."""
    NOT_DIFFERENTIABLE = "not differentiable"
    """It has no gradient: `argmax`, a comparison, a cast to integers."""
    SWITCHED_OFF = "switched off"
    """Gradients were switched off when it ran."""


@dataclass(frozen=True, slots=True)
class GradientCut:
    """An operation at which the gradient of some parameters was lost, on their only way to the loss."""

    kind: CutKind
    operation: Operation
    names: tuple[str, ...]
    """The dotted paths of these parameters."""
    got: TensorMeta | None = None
    """What it gave; None where that was no tensor."""


@dataclass(frozen=True, slots=True)
class GradientsLost(Event):
    """In two traced steps, parameters that an optimizer holds lost their gradient at the same operation.

    Nothing else moved them in between.
    """

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    cut: GradientCut
    optimizer: str
    """The optimizer's class."""
    is_all: bool
    """Whether no parameter of the model that it holds got a gradient."""
    has_rival: bool
    """Whether another optimizer takes turns with it, each after a `backward` of its own, as those of a GAN do."""
    model: str
    """What the running code calls the model; its class where it has no name there."""
    backward: Site | None
    """Where the user called `backward`."""
    step_site: Site | None
    """Where the optimizer stepped."""
    is_meant: bool = False
    """Whether it looks meant: the modules that ran without gradients are in evaluation mode."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of the modules that have parameters of their own, by their dotted paths."""


@dataclass(frozen=True, slots=True)
class GradientsBlocked(Event):
    """In two traced steps, each way from a loss to some parameters led through a node that passes nothing on.

    Autograd made a node for it all the same, so that nothing raises.
    """

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    node: str
    """Its name in autograd: `RoundBackward0`."""
    names: tuple[str, ...]
    operation: Operation | None
    """What made the node, where it was traced."""
    custom: CustomFunction | None
    """The user's own function, if it is one of these."""
    backward: Site | None
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of the modules that have parameters of their own, by their dotted paths."""


@dataclass(frozen=True, slots=True)
class LossWasLeaf(Event):
    """In two traced steps `backward` was called on a tensor that nothing leads to, and no gradient arrived."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished,)

    names: tuple[str, ...]
    """The dotted paths of the parameters that the optimizer holds."""
    made: Operation | None
    """What made the tensor, where it was traced."""
    backward: Site | None
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of the modules that have parameters of their own, by their dotted paths."""


@dataclass(frozen=True, slots=True)
class ParametersUnreached(Event):
    """The run is over, and parameters that an optimizer holds never got a gradient."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    unused: tuple[str, ...]
    """Those that nothing was computed with in the traced steps."""
    ignored: tuple[str, ...]
    """Those with which something was computed that the loss does not depend on."""
    optimizer: str
    steps: int
    """How many steps the optimizer took in the run."""
    definitions: tuple[Site, ...]
    """Where their modules were built."""
    used: Site | None
    """Where one of those was used that the loss ignores."""
    step_site: Site | None
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of the modules that have parameters of their own, by their dotted paths."""


@dataclass(frozen=True, slots=True)
class GradientsZero(Event):
    """At each look, from the first step on, the gradients of some parameters were exactly zero everywhere."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    names: tuple[str, ...]
    total: int
    """How many parameters the optimizer holds that got a gradient."""
    looks: int
    optimizer: str
    step_site: Site | None
    definitions: tuple[Site, ...] = ()
    """Where their modules were built."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of the modules that have parameters of their own, by their dotted paths."""


@dataclass(frozen=True, slots=True)
class GraphKept(Event):
    """Something that the running code holds leads back, through autograd's graph, to each of the last steps."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    name: str
    """How the running code reaches it: `total`, `self.history`."""
    steps: int
    """How many steps it leads back to; each that was looked at added to it."""
    nodes: int
    """How many nodes of the graph it keeps alive."""
    site: Site | None
    """The statement that adds to it."""
    step_site: Site | None
    """Where the optimizer steps."""


@dataclass(frozen=True, slots=True)
class TensorUnregistered(Event):
    """In two traced steps the model used an attribute that wants a gradient, is no parameter, and nothing moves."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, ModuleCalled, StepTaken)

    name: str
    """The dotted path of the attribute."""
    kind: str
    """The class of the module that holds it."""
    meta: TensorMeta
    is_leaf: bool
    """Whether it is a leaf; else it was computed from one that nobody holds."""
    site: Site | None
    """The statement that put it there."""
    step_site: Site | None
    """Where the optimizer stepped."""


@dataclass(frozen=True, slots=True)
class NewLayerFrozen(Event):
    """A model whose layer was put in from outside, with weights drawn at random, trains while that layer is frozen."""

    path: str
    """The dotted path of the layer."""
    kind: str
    names: tuple[str, ...]
    """The dotted paths of its parameters."""
    made: Site
    """The statement that put the layer in."""
    freezing: tuple[Site, ...]
    """The statements of the same file that set `requires_grad` to something else than True."""
    step_site: Site | None
    """Where the optimizer stepped first."""
