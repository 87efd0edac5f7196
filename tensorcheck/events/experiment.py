"""What experiments answered."""

from dataclasses import dataclass
from typing import ClassVar

from tensorcheck.events.event import Event, Instrument
from tensorcheck.fixes import Fix


@dataclass(frozen=True, slots=True)
class FixTried(Event):
    """A fix that a rule had proposed for a crash was applied to a copy of what had failed."""

    instrument: ClassVar[Instrument] = Instrument.EXPERIMENT

    finding: str
    """The fingerprint of the finding that proposes it."""
    fix: Fix
    passed: str
    """What then ran to its end: `the forward and the loss pass`; empty where the same exception came again."""
