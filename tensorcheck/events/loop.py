"""The order in which a loop calls what moves parameters, in its first steps."""

from dataclasses import dataclass
from enum import StrEnum

from tensorcheck.events.event import Event
from tensorcheck.sites import Site


class CallKind(StrEnum):
    """What was called."""

    BACKWARD = "backward"
    DIFFERENTIATED = "autograd.grad"
    """It gives gradients away and adds none."""
    ZEROED = "zero_grad"
    """Of an optimizer or of a module; only where there was something to zero."""
    CLIPPED = "clip_grad"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class LoopCall:
    """One of these calls; optimizers are numbered in the order in which they were met."""

    kind: CallKind
    site: Site | None
    optimizers: tuple[int, ...] = ()
    """Whose gradients a `backward` changed (nearest to the loss first, where that is known), a `zero_grad` removed or a
    clipping was given, or which one stepped."""
    has_gradients: bool = True
    """Of a step and a clipping: whether the parameters had gradients that were not zeroed since."""
    is_by_hand: bool = False
    """Of a step: whether something that was not heard changed the gradients before."""
    is_skipped: bool = False
    """Of a step: whether a gradient scaler left it out."""
    retains_graph: bool = False
    reads_older_graph: bool | None = False
    """Of a `backward`: whether its graph holds nodes that were there at an earlier one; None where that is unknown."""
    reaches_others: bool = False
    """Of a `backward`: whether gradients arrive at tensors that no optimizer holds."""


@dataclass(frozen=True, slots=True)
class LoopOptimizer:
    """An optimizer of the loop."""

    kind: str
    built: Site | None
    """Where it was built, if that was while something was watched."""
    is_watched: bool
    """Whether it holds a parameter of a watched model."""
    takes_closure: bool = False
    """Whether it was stepped with a closure, within which gradients are made."""
    shared: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """The optimizers that stepped before it and hold some of the same parameters in groups of their own, and which:
    by dotted paths, empty where their model is not watched."""


@dataclass(frozen=True, slots=True)
class GradientRequest:
    """A place in the source that asks for the gradient of a plain tensor."""

    name: str
    """How it calls the tensor."""
    site: Site


@dataclass(frozen=True, slots=True)
class LoopFollowed(Event):
    """The first steps of all optimizers are over, or the run is: what was called in them, in order."""

    calls: tuple[LoopCall, ...]
    optimizers: tuple[LoopOptimizer, ...]
    idle_request: GradientRequest | None = None
    """The only one in the files of the running code, where nothing in them can read a gradient."""


@dataclass(frozen=True, slots=True)
class StepNotCalled(Event):
    """Gradients arrived several times, their optimizer never stepped, and a statement names its `step` alone."""

    kind: str
    backwards: int
    """How often gradients arrived."""
    statement: Site
    """`optimizer.step`"""
    site: Site | None
    """The `backward`."""
