"""What every event is: something that happened, in the past tense.

An event holds no tensor, module or frame, so nothing outlives its step because of it and a rule can be tried on one
that was written by hand.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Instrument(StrEnum):
    """What has to be on for an event to be seen."""

    GUARD = "guard"
    """Every step, at the model's root only."""
    TRACE = "trace"
    """The first steps, and again when something new is seen."""
    CRASH = "crash"
    """Nothing in advance: an exception's own traceback."""
    EXPERIMENT = "experiment"
    """A question put to a copy of the model."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that PyTorch did while a model was watched."""

    instrument: ClassVar[Instrument] = Instrument.GUARD
    needs: ClassVar[tuple[type["Event"], ...]] = ()
    """Other events whose probes have to listen for this one to be seen."""

    step: int
    """How many optimizer steps the model had taken before."""
