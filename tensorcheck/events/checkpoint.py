"""What was done with a model's weights beside training them: they were taken, kept, saved and loaded."""

from dataclasses import dataclass
from typing import ClassVar

from tensorcheck.events.event import Event
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.sites import Site


@dataclass(frozen=True, slots=True)
class WeightsLoaded(Event):
    """`load_state_dict` of the model returned."""

    site: Site | None


@dataclass(frozen=True, slots=True)
class PartlyLoaded(Event):
    """`load_state_dict(..., strict=False)` left keys out, and nobody read which."""

    into: str
    """The class of the module."""
    target: str
    """The module as the code spells it."""
    spelled: str
    """The state as the code spells it; empty where it does not."""
    loaded: int
    wanted: int
    missing: tuple[str, ...]
    """The keys of the module that were not given, without those of weights that another key gave."""
    unexpected: tuple[str, ...]
    prefix: str = ""
    """What stands before each missing key among the unexpected ones."""
    own_prefix: str = ""
    """What stands before each unexpected key among the missing ones."""
    within: str = ""
    """The unexpected key that holds the state."""
    renamed: tuple[tuple[str, str], ...] = ()
    """The missing keys, each with an unexpected one of its shape, where that explains them."""
    statistics: tuple[str, ...] = ()
    """The missing keys of running statistics whose layer has its weights loaded."""
    site: Site | None = None


@dataclass(frozen=True, slots=True)
class ResumedWithout(Event):
    """A training went on from a checkpoint's weights, and something else that belongs to it began anew."""

    what: str
    """`optimizer`, `scheduler` or `scaler`."""
    kind: str
    """Its class."""
    key: str
    """Its place in the checkpoint; empty where it is not in there."""
    keys: tuple[str, ...]
    """All that is in the checkpoint."""
    weights: Site | None
    """Where the weights were loaded."""
    read: Site | None
    """Where the file was read."""
    sign: str
    """What shows that the training goes on and does not begin: what was restored besides, or the first epoch."""


@dataclass(frozen=True, slots=True)
class KeptWeightsMoved(Event):
    """A `state_dict` of the model that was taken some steps ago and not copied was loaded or saved."""

    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    name: str
    """What the running code calls it; empty where it has no name."""
    taken: Site
    """Where `state_dict` was called."""
    steps: int
    """How many steps the model has taken since."""
    is_loaded: bool
    """Whether it was given back to the model; else it was saved."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class StatesCollected(Event):
    """States of the model that were taken at different steps are collected, and share the model's memory."""

    needs: ClassVar[tuple[type[Event], ...]] = (StepTaken,)

    container: str
    """What they are collected in, as the code spells it."""
    taken: Site
    """Where `state_dict` was called."""
    states: int
    steps: int
    """From the first of them to the last."""


@dataclass(frozen=True, slots=True)
class BestCompared(Event):
    """The running code keeps weights, or starts to wait anew, if a value compares well with the best so far."""

    current: str
    """The value's name there."""
    best: str
    """The name of the best so far, which becomes this value."""
    when_lower: bool
    """Whether the value has to be lower than the best; else higher."""
    is_negated: bool
    """Whether the running code gives the value the negative of something."""
    site: Site
    """The comparison."""


@dataclass(frozen=True, slots=True)
class BestStuck(Event):
    """The best value so far began with a number that no value, or not this one, can beat."""

    current: str
    best: str
    when_lower: bool
    start: float
    value: float | None
    """What the current value is, where that shows that the start is never beaten."""
    built: Site | None
    """Where the best so far gets its first value."""
    site: Site
    """The comparison."""


@dataclass(frozen=True, slots=True)
class BestReferenced(Event):
    """The running code gives the model itself, or its weights, the name of the best, if a comparison holds."""

    name: str
    model: str
    """The name of the model."""
    loaded: Site | None
    """Where these weights are loaded again; None for the model itself."""
    site: Site


@dataclass(frozen=True, slots=True)
class SavedByName(Event):
    """`torch.save` wrote an object whose class the saving script itself defines: the file holds its name alone."""

    name: str
    """The class or function, as it is called where it is defined."""
    is_class: bool
    spelled: str
    """The saved object as the code spells it; empty where it does not."""
    is_module: bool
    """Whether that object is a module."""
    part: str
    """Where in the module it is; empty for the object itself."""
    defined: Site | None
    site: Site | None


@dataclass(frozen=True, slots=True)
class ForeignFileLoaded(Event):
    """`torch.load(..., weights_only=False)` read a file that this run has not written and its code would not write."""

    file: str
    """The name of the file."""
    names: tuple[str, ...]
    """The classes and functions in it that are not among those that `weights_only=True` allows."""
    called: tuple[str, ...]
    """Those of them that run commands or code."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class LoadedInVain(Event):
    """Weights were loaded into a module that nothing else holds, and the code does not use it afterwards."""

    kind: str
    """Its class."""
    name: str
    """Its name in the running code; empty where it has none."""
    function: str
    """The function in which it has that name; empty for the script itself."""
    has_twin: bool
    """Whether the same code makes another one like it."""
    made: Site | None
    """Where the name is given to it."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class ValuesLost(Event):
    """`load_state_dict` copied values into tensors whose dtype can't hold them."""

    keys: tuple[str, ...]
    """The tensors that lost some."""
    saved: str
    """The dtype of the first of them in the state."""
    own: str
    """Its dtype in the module."""
    was: float
    """One of its values in the state."""
    now: float
    """What became of that."""
    made: Site | None
    """Where the module makes this tensor."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class TrainedInAnotherDtype(Event):
    """An optimizer is about to step on a model whose state had another dtype than its parameters when it was loaded."""

    target: str
    """The module as the loading code spells it."""
    saved: str
    """The dtype of the state."""
    own: str
    """The dtype of the parameters before."""
    count: int
    """How many tensors that concerns."""
    is_assigned: bool
    """Whether the parameters have the state's dtype since; else its values were copied into theirs."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class SavedByRank(Event):
    """One of several processes that train together saved a file, and nothing kept the others from it."""

    rank: int
    world: int
    """How many processes there are."""
    file: str
    """The name of the file."""
    site: Site | None


@dataclass(frozen=True, slots=True)
class TrainingModeSaved(Event):
    """A program was saved that was traced or exported from a model in training mode, and does what that does."""

    model: str
    """The model as the code spells it where it was traced."""
    dropouts: int
    """How many of its operations drop something out."""
    norms: int
    """How many of them normalise with the statistics of the batch."""
    traced: Site | None
    """Where that was."""
    site: Site | None
