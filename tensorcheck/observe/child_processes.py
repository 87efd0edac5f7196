"""Processes that the script starts: they are not watched, and a report must not look as if they were."""

from contextlib import ExitStack
from multiprocessing.process import BaseProcess
from typing import Any, ClassVar

from tensorcheck.events.event import Event
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe

_LOADERS_OWN = "_worker_loop"
"""What the workers of a DataLoader run: their samples are seen when they arrive."""


class ChildProcessProbe(Probe):
    """Counts the processes that are started by `multiprocessing`."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset()
    started = 0

    def attach(self, handles: ExitStack) -> None:
        """Patch the method that all kinds of process share."""
        handles.enter_context(PATCHES.patch_attribute(BaseProcess, "start", self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A process is about to be started; afterwards it does not know its target any more."""
        target = getattr(args[0], "_target", None)
        if getattr(target, "__name__", "") != _LOADERS_OWN:
            self.started += 1

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Nothing was started."""
