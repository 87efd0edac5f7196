"""What was done with whole passes over a DataLoader, or beside them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tensorcheck.events.backward import BackwardFinished, LossComputed
from tensorcheck.events.event import Event
from tensorcheck.events.forward import ForwardFinished
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.sites import Site


@dataclass(frozen=True, slots=True)
class EvaluatedInTrainMode(Event):
    """A trained model was called without gradients and in training mode, on what it is not trained on."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, ForwardFinished, LossComputed, StepTaken)

    layers: tuple[str, ...]
    """The classes of its layers that act as in training: dropout, batch normalisation."""
    over: str
    """What it was called on: the name of the DataLoader; empty where it was called on a tensor beside any."""
    is_result_used: bool
    """Whether the running code does anything with what the model returned."""
    site: Site | None
    """The call of the model."""
    uncalled: Site | None = None
    """A statement of the running code that names `eval` and does not call it."""


@dataclass(frozen=True, slots=True)
class TrainingDataEvaluated(Event):
    """A model was called without gradients on whole passes over data that it is trained on."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, ForwardFinished, StepTaken)

    loader: tuple[str, ...]
    """The names that the running code had for the DataLoader."""
    results: tuple[str, ...]
    """The names that it gives to what it computes there."""
    functions: tuple[str, ...]
    """The functions that were running."""
    trained: str
    """The name of the DataLoader that the model is trained on."""
    is_same: bool
    """Whether it is the very same DataLoader; else another one of the same dataset."""
    is_only: bool
    """Whether no other data was evaluated."""
    site: Site | None
    """The loop."""
    built: Site | None
    """Where the DataLoader was built, if that is another than the one that is trained on."""


@dataclass(frozen=True, slots=True)
class SamplesLeaked(Event):
    """A model was evaluated on a whole pass over data some samples of which it had been trained on."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, ForwardFinished, StepTaken, TrainingDataEvaluated)

    loader: tuple[str, ...]
    """The names that the running code had for the DataLoader."""
    results: tuple[str, ...]
    """The names that it gives to what it computes there."""
    functions: tuple[str, ...]
    """The functions that were running."""
    trained: str
    """The name of the DataLoader that the model is trained on."""
    samples: int
    """How many were evaluated."""
    shared: int
    """How many of them it is trained on."""
    of_training: float
    """The share of what it is trained on that was evaluated."""
    by_index: bool
    """Whether they are the same places of one dataset, and not only equal numbers."""
    is_only: bool
    """Whether no data without such samples was evaluated."""
    takes_everything: bool
    """Whether the training goes through the whole dataset that the evaluation is a part of."""
    site: Site | None
    """The loop."""
    made: Site | None
    """Where the data that is evaluated was made, or where its DataLoader was built."""
    trained_made: Site | None
    """Likewise of the training."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How the values of one column or channel were spread over a whole pass."""

    mean: float
    std: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class EvaluatedOnOtherScale(Event):
    """A model was evaluated on a whole pass over other data than it was trained on, and both were measured."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, ForwardFinished, StepTaken, TrainingDataEvaluated)

    loader: tuple[str, ...]
    """The names that the running code had for the DataLoader."""
    trained: str
    """The name of the DataLoader that the model is trained on."""
    is_image: bool
    """Whether the columns are the channels of images."""
    is_continuous: bool
    """Whether hardly a value comes twice."""
    of_training: tuple[Spread, ...]
    of_evaluation: tuple[Spread, ...]
    samples: int
    """How many were evaluated."""
    trained_samples: int
    """How many were trained on in a pass."""
    site: Site | None
    """The loop."""
    made: Site | None
    """Where the data that is evaluated was made, or where its DataLoader was built."""
    trained_made: Site | None
    """Likewise of the training."""


@dataclass(frozen=True, slots=True)
class LabelsSorted(Event):
    """A model was trained on a DataLoader that does not shuffle, and the labels came one class after the other."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished,)

    loader: str
    """How the running code calls it."""
    field: str
    """The field of the batch: `batch[1]`."""
    classes: tuple[str, ...]
    """The labels in the order in which they came."""
    samples: int
    """How many samples were looked at."""
    batches: int
    constant: int
    """How many of these batches held one class alone."""
    built: Site | None
    site: Site | None
    """The loop."""


@dataclass(frozen=True, slots=True)
class MetricAccumulated(Event):
    """A metric was computed at the end of two passes over the same data, and not reset in between."""

    kind: str
    """Its class."""
    name: str
    """How the running code calls it."""
    before: int
    """How many updates it held at the end of the pass before."""
    updates: int
    """How many it holds now."""
    site: Site | None


WorkerFault = Literal["same stream", "same generator", "same seed"]


@dataclass(frozen=True, slots=True)
class WorkersAlike(Event):
    """The workers of a DataLoader do the same, or draw the same random numbers."""

    fault: WorkerFault
    workers: int
    dataset: str
    """The class of the dataset."""
    what: str
    """The attribute that holds a generator, or the call that seeds."""
    made: Site | None
    """Where that stands: the attribute's use, the call that seeds, or the dataset's `__iter__`."""
    site: Site | None
    """The loop."""


@dataclass(frozen=True, slots=True)
class CounterAccumulated(Event):
    """The running code adds up over all epochs what it divides by the size of one."""

    name: str
    zeroed: Site
    """Where it is set to zero, before the loop over epochs."""
    added: Site
    """Where it is added to."""
    site: Site
    """The quotient."""
