"""Learning-rate schedules over a run: how often they are stepped beside their optimizers, if they are at all."""

import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from tensorcheck.events.event import Event
from tensorcheck.events.schedule import ScheduleNeverStepped, SchedulePaced
from tensorcheck.observe.followed import Followed, FollowedOptimizers
from tensorcheck.observe.frames import user_frame
from tensorcheck.observe.loop_counts import counts_of
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.stepping_code import steps_in_code
from tensorcheck.sites import Site

_SETTINGS = ("T_max", "total_steps", "total_iters", "step_size", "gamma", "start_factor", "end_factor")
_STEPS = 3
"""So often an optimizer has to have stepped before anything is said of its schedule."""


@dataclass(eq=False, slots=True)
class _Known:
    """A schedule that was built while something was watched."""

    reference: "weakref.ref[LRScheduler]"
    kind: str
    followed: Followed
    built: Site | None
    filename: str
    is_within: bool = False
    """Whether another schedule holds it, and so steps it."""
    steps_before: list[int] = field(default_factory=list)
    """How often its optimizer had stepped at each of its own first steps."""


class ScheduleProbe(Probe):
    """Hears the building and the stepping of each schedule; what a schedule does to those that it holds is its own."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SchedulePaced, ScheduleNeverStepped})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._known: dict[int, _Known] = {}
        self._all: list[_Known] = []
        """Also those that are gone."""
        self._depth = 0

    def attach(self, handles: ExitStack) -> None:
        """Patch the constructor and the `step` of each class that defines its own."""
        handles.callback(self._about_to_close)
        building = _Building(self)
        for cls in vars(lr_scheduler).values():
            if isinstance(cls, type) and issubclass(cls, LRScheduler):
                for name, listener in (("__init__", building), ("step", self)):
                    if name in vars(cls):
                        handles.enter_context(PATCHES.patch_attribute(cls, name, listener))

    def built(self, scheduler: LRScheduler) -> None:
        """A schedule was built, or a class that it inherits from has done its part."""
        optimizer, frame = getattr(scheduler, "optimizer", None), user_frame()
        if not isinstance(optimizer, Optimizer) or frame is None or not self.sink.hears_this_thread():
            return
        followed, site = self._optimizers.known(optimizer), self.sink.sites.here()
        kind = type(scheduler).__name__
        followed.scheduler, followed.scheduler_built = kind, site
        if self._of(scheduler) is None:
            known = _Known(weakref.ref(scheduler), kind, followed, site, frame.f_code.co_filename)
            self._known[id(scheduler)] = known
            self._all.append(known)
        for inner in _held_by(scheduler):
            held = self._of(inner)
            if held is not None:
                held.is_within = True

    def _of(self, scheduler: object) -> _Known | None:
        known = self._known.get(id(scheduler))
        return known if known is not None and known.reference() is scheduler else None

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A schedule is about to step."""
        self._depth += 1

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """It raised."""
        self._depth -= 1

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """It stepped."""
        self._depth -= 1
        known = self._of(args[0])
        if known is None or getattr(args[0], "_is_initial", False):
            return
        known.followed.schedule_steps += not self._depth
        if len(known.steps_before) <= _PACED:
            known.steps_before.append(known.followed.steps)
            is_plain = not self._depth and len(args) == 1 and not kwargs
            if len(known.steps_before) == _PACED and is_plain and self.sink.hears_this_thread():
                self._paced(args[0], known)

    def _paced(self, scheduler: LRScheduler, known: _Known) -> None:
        first, second = known.steps_before
        if first != second - first or not first or known.is_within:
            return
        counts = counts_of()
        event = SchedulePaced(
            step=self.sink.step,
            kind=known.kind,
            settings=dict(_settings(scheduler)),
            milestones=tuple(sorted(getattr(scheduler, "milestones", ()))) if known.kind == "MultiStepLR" else (),
            pace=first,
            epochs=counts.epochs,
            epochs_code=counts.epochs_code,
            batches=counts.batches,
            loader=counts.loader,
            may_end_early=counts.may_end_early,
            built=known.built,
            site=self.sink.sites.here(),
        )
        self.sink.emit(event)

    def _about_to_close(self) -> None:
        for known in [] if self.is_off else self._all:
            is_idle = not known.steps_before and not known.is_within and known.followed.steps >= _STEPS
            if is_idle and known.built is not None and known.followed.subjects:
                self._never_stepped(known, known.built)

    def _never_stepped(self, known: _Known, built: Site) -> None:
        followed = known.followed
        found = steps_in_code((known.filename, followed.stepped_in), built, followed.stepped)
        if found is not None:
            event = ScheduleNeverStepped(
                step=self.sink.step,
                kind=known.kind,
                optimizer=followed.kind,
                steps=followed.steps,
                built=built,
                stepped=followed.stepped,
                uncalled=found.uncalled,
                name=found.name,
            )
            self.sink.emit(event)


_PACED = 2
"""The step of a schedule at which its pace is known."""


def _settings(scheduler: LRScheduler) -> Iterator[tuple[str, float]]:
    for name in _SETTINGS:
        value = vars(scheduler).get(name)
        if isinstance(value, int | float):
            yield name, value


def _held_by(scheduler: LRScheduler) -> Iterator[LRScheduler]:
    """The schedules that another has among its attributes."""
    for value in vars(scheduler).values():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, LRScheduler):
                yield each


class _Building(Listener):
    """Hears the constructors."""

    def __init__(self, probe: ScheduleProbe) -> None:
        self._probe = probe

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A schedule was built, or a part of it."""
        self._probe.built(args[0])

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self.is_off = True
        self._probe.fault(error)
