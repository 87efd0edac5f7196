"""The learning rates that optimizers step with: whether they are absurd from the start, or zero to the end."""

from contextlib import ExitStack
from typing import ClassVar

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from tensorcheck.events.event import Event
from tensorcheck.events.schedule import RateDied, RateSeen
from tensorcheck.observe.followed import Followed, FollowedOptimizers
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.sites import Site

_SURE = 3
"""The step at which a learning rate is judged: a search for one starts far below where it ends."""
_NEGLIGIBLE = 1e-10
"""The part of the highest learning rate below which a step moves no float32 weight: its precision is 6e-8."""


class _Rates:
    """Those of one optimizer."""

    __slots__ = ("dead", "first", "followed", "has_schedule", "highest", "last", "site")

    def __init__(self, followed: Followed) -> None:
        self.followed = followed
        self.first = self.last = self.highest = 0.0
        self.dead = 0
        """How many steps in a row, up to the last, moved nothing."""
        self.has_schedule = False
        """Whether a schedule was ever built for it, heard of or not."""
        self.site: Site | None = None


class LearningRateProbe(Probe):
    """Reads the learning rates after each step; those that are tensors are not looked at."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({RateSeen, RateDied})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._rates: dict[int, _Rates] = {}
        """By the ids of what is known of their optimizers, which the values keep alive and so their ids."""

    def attach(self, handles: ExitStack) -> None:
        """Register the hook that all optimizers share."""
        handles.enter_context(PATCHES.undo_in_forks(register_optimizer_step_post_hook(timed(self._stepped)).remove))
        handles.callback(self._about_to_close)

    def _stepped(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self.is_off:
            return
        try:
            followed = self._optimizers.known(optimizer)
            if followed.subjects:
                self._look(optimizer, followed)
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _look(self, optimizer: Optimizer, followed: Followed) -> None:
        rate = 0.0
        for group in optimizer.param_groups:
            given = group.get("lr")
            if type(given) is not float and type(given) is not int:
                return
            rate = max(given, rate)
        rates = self._rates.get(id(followed))
        if rates is None:
            rates = self._rates[id(followed)] = _Rates(followed)
            rates.first = rate
        rates.last, rates.highest = rate, max(rate, rates.highest)
        rates.dead = rates.dead + 1 if rate <= _NEGLIGIBLE * rates.highest else 0
        if followed.steps == _SURE:
            rates.site = self.sink.sites.here()
            rates.has_schedule = any("initial_lr" in group for group in optimizer.param_groups)
            self._seen(rates)

    def _seen(self, rates: _Rates) -> None:
        kind, built, lowest = rates.followed.kind, rates.followed.built, min(rates.first, rates.last)
        for subject in rates.followed.subjects:
            self.sink.emit(RateSeen(subject.step, kind, lowest, built=built, site=rates.site), subject)

    def _about_to_close(self) -> None:
        for rates in self._rates.values() if not self.is_off else ():
            followed = rates.followed
            if rates.dead >= _SURE:
                event = RateDied(
                    step=self.sink.step,
                    kind=followed.kind,
                    steps=followed.steps,
                    dead=rates.dead,
                    rate=rates.last,
                    highest=rates.highest,
                    scheduler=followed.scheduler,
                    has_schedule=rates.has_schedule,
                    schedule_steps=followed.schedule_steps,
                    built=followed.scheduler_built or followed.built,
                    site=rates.site,
                )
                self.sink.emit(event)
