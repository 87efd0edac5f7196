"""What a probe is: it turns something that PyTorch does into events."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Protocol

from torch import nn
from torch.optim import Optimizer

from tensorcheck.events.crash import Stage
from tensorcheck.events.event import Event
from tensorcheck.observe.drawn import DrawnIndices
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.own_time import Budget
from tensorcheck.observe.passes import Passes
from tensorcheck.observe.patches import Listener
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.tracing import Tracing


class Sink(Protocol):
    """The session, as probes see it."""

    @property
    def sites(self) -> Sites:
        """The places in the user's source met so far."""

    @property
    def subjects(self) -> Sequence[Subject]:
        """The watched models."""

    @property
    def awaits_models(self) -> bool:
        """Whether models are yet to be found."""

    @property
    def earlier_optimizers(self) -> Collection[Optimizer] | None:
        """The optimizers that were built before the session began; None where that is not known."""

    @property
    def step(self) -> int:
        """Optimizer steps taken so far."""

    @property
    def backwards(self) -> int:
        """How many times `backward` has returned so far."""

    @property
    def differentiations(self) -> int:
        """How many times `backward` or `autograd.grad` has returned so far."""

    def count_differentiation(self) -> None:
        """`autograd.grad` returned once more."""

    def count_backward(self) -> None:
        """`backward` returned once more."""

    def wants(self, event: type[Event]) -> bool:
        """Whether any rule subscribes to this class of event."""

    @property
    def tracing(self) -> Tracing:
        """The operations of the traced steps."""

    @property
    def budget(self) -> Budget:
        """What this session may take of the run's time."""

    @property
    def drawn(self) -> DrawnIndices:
        """What the samplers gave last, for loaders with workers."""

    @property
    def passes(self) -> Passes:
        """The passes over DataLoaders that are under way."""

    def experimented(self, name: str) -> None:
        """An experiment was made: coverage says so."""

    def skip(self, what: str, why: str) -> None:
        """Something is not looked at: coverage says so."""

    def adopt(self, model: nn.Module) -> None:
        """Watch one more model, from now until nobody holds it any more."""

    def found(self, optimizer: Optimizer) -> None:
        """An optimizer was built, or holds more or fewer parameters: its models may be wanted."""

    def wants_optimizer(self, optimizer: Optimizer) -> bool:
        """Whether this optimizer is watched: each is, unless some were named."""

    def wants_dataset(self, dataset: object) -> bool:
        """Whether the loaders of this dataset are watched: each is, unless some were named."""

    def hears_this_thread(self) -> bool:
        """Whether what happens on the running thread belongs to this session."""

    def adopt_this_thread(self) -> None:
        """From now on, what happens on the running thread belongs to this session."""

    def emit(self, event: Event, subject: Subject | None = None, *, signature: Hashable = None) -> bool:
        """Judge an event by the rules of one model, or of all; True if something was found.

        What was found is remembered under the signature.
        """

    def is_known(self, signature: Hashable) -> bool:
        """Whether an event of this signature was judged before; what was found then is counted once more."""

    def crashed(self, stage: Stage, error: BaseException) -> None:
        """Explain an exception that is on its way to the user, once."""

    def fault(self, part: object, error: Exception) -> None:
        """Switch off what raised for the rest of the run, and report it."""


class Probe(Listener, ABC):
    """Listens to one thing and emits events; a fault of its own switches it off."""

    emits: ClassVar[frozenset[type[Event]]]
    """What some rule must subscribe to for this probe to be attached; one that emits nothing always is."""
    stage: ClassVar[Stage] = "elsewhere"
    """Where in a step an exception that it hears of was raised."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    @abstractmethod
    def attach(self, handles: ExitStack) -> None:
        """Start to listen, until `handles` is closed."""

    def model_adopted(self) -> None:
        """One more model is watched."""

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """A patched function raised."""
        if self.sink.hears_this_thread():
            self.sink.crashed(self.stage, error)

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self.sink.fault(self, error)
