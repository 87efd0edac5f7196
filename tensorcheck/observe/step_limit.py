"""Ends a program after a number of training steps."""

from contextlib import ExitStack
from typing import Any, ClassVar

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.data import dataloader

from tensorcheck.events.event import Event
from tensorcheck.observe.optimizers import subjects_of
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink


class EnoughSteps(SystemExit):
    """A clean end, which `except Exception` lets through."""

    def __init__(self) -> None:
        super().__init__(0)


class StepLimit(Probe):
    """Ends the program before the next batch, or before a step too many, whichever comes first.

    Several optimizers may step in one training step, so that the step of one of them is not the end of it.
    """

    emits: ClassVar[frozenset[type[Event]]] = frozenset()

    def __init__(self, sink: Sink, steps: int) -> None:
        super().__init__(sink)
        self._steps = steps

    def attach(self, handles: ExitStack) -> None:
        """Hear of batches and of steps."""
        iterator = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators
        handles.enter_context(PATCHES.patch_attribute(iterator, "__next__", self))
        hook = register_optimizer_step_pre_hook(timed(self._about_to_step))
        handles.enter_context(PATCHES.undo_in_forks(hook.remove))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A batch is about to be loaded."""
        if self.sink.step >= self._steps:
            self._end()

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Another probe hears of what a loader raises."""

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if any(subject.step >= self._steps for subject in subjects_of(self.sink, optimizer)):
            self._end()

    def _end(self) -> None:
        self.sink.skip("what would have followed", f"the program was to end after {self._steps} steps")
        raise EnoughSteps
