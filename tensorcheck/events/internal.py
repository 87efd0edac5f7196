"""What tensorcheck's own parts did."""

from dataclasses import dataclass

from tensorcheck.events.event import Event


@dataclass(frozen=True, slots=True)
class ProbeFailed(Event):
    """Something of tensorcheck's own raised; it was caught and switched off for the run."""

    part: str
    """The probe or rule."""
    traceback: str
