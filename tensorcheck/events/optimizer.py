"""What optimizers and learning-rate schedulers did."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tensorcheck.events.event import Event
from tensorcheck.lineage import Lineage
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor


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
    frozen_groups: tuple[tuple[str, ...], ...] = ()
    """The parameters of each of its groups that holds frozen ones alone, where it has several groups."""


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
    """An optimizer stepped on parameters without gradients, while those of a module that none holds have some."""

    kind: str
    """The optimizer's class."""
    held: int
    """How many parameters it holds that want a gradient; none has one."""
    is_alike: bool
    """Whether that module has parameters of the same shapes."""
    trained: str
    """How the running code calls the module whose parameters have gradients and are in no optimizer."""
    gradients: int
    """How many of them have one."""
    built: Site | None
    """Where the optimizer was built, if that was while the model was watched."""
    site: Site | None
    lineage: Lineage = field(default_factory=Lineage)
    """Where the module that has the gradients came from."""
    loaded: Site | None = None
    """Where that module got its weights from a file after the optimizer was built."""
    is_assigned: bool = False
    """Whether the loading put other tensors in the place of its parameters."""


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
class GivenTwice(Event):
    """An optimizer that holds a parameter of the model more than once stepped for the first time."""

    kind: str
    names: tuple[str, ...]
    """The dotted paths of those parameters."""
    built: Site | None
    """Where it was built, if that was while the model was watched."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class OutsiderTrained(Event):
    """A module of the running code has gradients in all of its parameters, and no optimizer holds any of them."""

    name: str
    """How the running code calls it."""
    gradients: int
    """How many of its parameters have one."""
    backward: Site | None
    """Where they arrived."""
    site: Site | None
    """Where an optimizer of others steps."""
