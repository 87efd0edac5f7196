"""What was recorded beside the first step, told at the end: an evaluation is over when nothing follows it."""

import sys
from contextlib import ExitStack
from typing import ClassVar

from tensorcheck.events.event import Event
from tensorcheck.events.traced import LaterTraced
from tensorcheck.observe.probe import Probe


class LaterTraceProbe(Probe):
    """Tells of the last steps that were recorded, but for the first, which was told of when it was taken."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({LaterTraced})

    def attach(self, handles: ExitStack) -> None:
        """Wait for the end."""
        handles.callback(self._about_to_close)

    def _about_to_close(self) -> None:
        if self.is_off or sys.exc_info()[0] is not None:
            return
        try:
            for trace in self.sink.tracing.traces(self.sink.sites):
                if trace.step or not self.sink.step:
                    self.sink.emit(LaterTraced(trace.step, trace))
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)
