"""Learning-rate schedulers: when they are stepped."""

from contextlib import ExitStack
from typing import Any, ClassVar

from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer, lr_scheduler

from tensorcheck.events.event import Event
from tensorcheck.events.optimizer import SchedulerStepped
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject


class SchedulerProbe(Probe):
    """Hears every scheduler; the step that a constructor takes, and those inside another's step, are not the user's."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SchedulerStepped})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._depth = 0
        self._scaled = _Scaled()

    def attach(self, handles: ExitStack) -> None:
        """Patch `step` of each class that defines its own, and of gradient scalers, which may skip an optimizer's."""
        handles.enter_context(PATCHES.patch_attribute(GradScaler, "step", self._scaled))
        for cls in vars(lr_scheduler).values():
            if isinstance(cls, type) and issubclass(cls, lr_scheduler.LRScheduler) and "step" in vars(cls):
                handles.enter_context(PATCHES.patch_attribute(cls, "step", self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A scheduler is about to step."""
        self._depth += 1

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """A scheduler raised."""
        self._depth -= 1
        super().raised(args, kwargs, error)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A scheduler stepped."""
        self._depth -= 1
        scheduler = args[0]
        is_own = self._depth > 0 or getattr(scheduler, "_is_initial", False)
        if is_own or self._scaled.has_stepped or not self.sink.hears_this_thread():
            return
        optimizer = getattr(scheduler, "optimizer", None)
        for subject in self._optimizers.follow(optimizer).subjects if isinstance(optimizer, Optimizer) else ():
            self._stepped(scheduler, subject)

    def _stepped(self, scheduler: object, subject: Subject) -> None:
        sink = self.sink
        # Before the first step of an optimizer the order counts; after it, one step of a scheduler is like another.
        key = ("scheduler", subject, id(scheduler), None if subject.step else sink.backwards)
        if not sink.is_known(key):
            event = SchedulerStepped(subject.step, type(scheduler).__name__, sink.backwards, sink.sites.here())
            sink.emit(event, subject, signature=key)


class _Scaled(Listener):
    """Whether a gradient scaler stepped an optimizer; then the order of the first steps says nothing."""

    def __init__(self) -> None:
        self.has_stepped = False

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """It is about to."""
        self.has_stepped = True
