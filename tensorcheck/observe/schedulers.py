"""Learning-rate schedulers: when they are stepped."""

from contextlib import ExitStack
from typing import Any, ClassVar

from torch.optim import lr_scheduler

from tensorcheck.events import Event, SchedulerStepped
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink


class SchedulerProbe(Probe):
    """Hears every scheduler; the step that a constructor takes, and those inside another's step, are not the user's."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SchedulerStepped})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._depth = 0

    def attach(self, handles: ExitStack) -> None:
        """Patch `step` of each class that defines its own."""
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
        if self._depth or getattr(scheduler, "_is_initial", False) or not self.sink.hears_this_thread():
            return
        sink = self.sink
        # Before the first step of an optimizer the order counts; after it, one step of a scheduler is like another.
        key = ("scheduler", id(scheduler), None if sink.step else sink.backwards)
        if not sink.is_known(key):
            event = SchedulerStepped(sink.step, type(scheduler).__name__, sink.backwards, sink.sites.here())
            sink.emit(event, signature=key)
