"""A step of which each operation was recorded."""

from dataclasses import dataclass
from typing import ClassVar

from tensorcheck.events.event import Event, Instrument
from tensorcheck.events.forward import ModuleCalled
from tensorcheck.trace import Trace


@dataclass(frozen=True, slots=True)
class StepTraced(Event):
    """The first optimizer step of a traced model: everything that was computed since it was watched."""

    instrument: ClassVar[Instrument] = Instrument.TRACE
    needs: ClassVar[tuple[type[Event], ...]] = (ModuleCalled,)
    """Without which no operation is known to run in a module."""

    trace: Trace


@dataclass(frozen=True, slots=True)
class LaterTraced(Event):
    """What was recorded beside the first step: of later steps, and of evaluations; told when the session ends."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    trace: Trace
