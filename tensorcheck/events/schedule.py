"""What learning rates and their schedules did over a run."""

from dataclasses import dataclass
from typing import ClassVar

from tensorcheck.events.backward import BackwardFinished
from tensorcheck.events.event import Event
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.sites import Site


@dataclass(frozen=True, slots=True)
class SchedulePaced(Event):
    """A schedule was stepped twice, each time after as many steps of its optimizer."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    kind: str
    settings: dict[str, float]
    """Those of its numbers that count steps or shrink the rate: `T_max`, `gamma`."""
    milestones: tuple[int, ...]
    pace: int
    """The optimizer's steps for each of its own."""
    epochs: int | None
    """The rounds of the running loop that counts with `range`, outside of that over the batches; None where unknown."""
    epochs_code: str
    """How that number is spelled."""
    batches: int | None
    """The length of the DataLoader that the innermost running loop goes through, once for each step; None where there
    is none."""
    loader: str
    """How that loader is spelled."""
    may_end_early: bool
    """Whether a `break` or a `return` may end these loops."""
    built: Site | None
    site: Site | None


@dataclass(frozen=True, slots=True)
class ScheduleNeverStepped(Event):
    """The watching ended: a schedule was built, its optimizer stepped, and nothing in the user's files steps it."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    kind: str
    optimizer: str
    """The class of its optimizer."""
    steps: int
    """Those that its optimizer took."""
    built: Site
    stepped: Site | None
    """Where its optimizer steps."""
    uncalled: Site | None
    """A statement that names a `step` and does not call it."""
    name: str
    """How the user calls the schedule, where that is known."""


@dataclass(frozen=True, slots=True)
class RateSeen(Event):
    """An optimizer took its third step: the largest of its learning rates, which was no smaller in the first."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    kind: str
    rate: float
    built: Site | None
    site: Site | None


@dataclass(frozen=True, slots=True)
class RateDied(Event):
    """The watching ended: in its last steps, and in many of them, no learning rate of an optimizer moved anything."""

    needs: ClassVar[tuple[type[Event], ...]] = (BackwardFinished, StepTaken)

    kind: str
    steps: int
    """All that it took."""
    dead: int
    """Those at the end."""
    rate: float
    """The largest of its learning rates in these."""
    highest: float
    """The largest that it ever had."""
    scheduler: str
    """The class of its schedule; empty where no building of one was heard."""
    has_schedule: bool
    """Whether one was built at some time."""
    schedule_steps: int
    """How often a schedule of it was stepped."""
    built: Site | None
    """Where that schedule or else the optimizer was built."""
    site: Site | None
