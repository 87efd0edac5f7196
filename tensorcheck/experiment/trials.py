"""Tried fixes: each edit that a rule proposes for a crash, applied to a copy that failed in the same way before.

A copy of two samples on the devices of the model is asked first: only there do values and dtypes count. Where it is too
slow, or two samples do not fail as the batch did, a copy of the whole batch on the meta device is asked, and the
answer says so. The first use of the meta device in a process imports `torch._dynamo`, which takes longer than all
trials together: where nothing else imported it, as building an optimizer does, that device is not asked.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import torch

from tensorcheck.events.crash import Crashed
from tensorcheck.events.experiment import FixTried
from tensorcheck.experiment.copies import CannotCopyError, Copier, Place
from tensorcheck.experiment.edits import CannotEditError
from tensorcheck.experiment.guard import ForbiddenError, Guard
from tensorcheck.experiment.isolation import isolated, obstacle, unseen
from tensorcheck.experiment.scene import NoSceneError, Scene, Where
from tensorcheck.experiment.scenes import scene_of
from tensorcheck.findings import Finding
from tensorcheck.fixes import Edit, Fix
from tensorcheck.observe.undisturbed import TimeIsUpError

NAME = "fix-trials"
"""What a report's coverage calls them."""
_SECONDS = {Place.OWN: 0.5, Place.META: 0.5}
"""What all trials of one crash may take together; few need the meta device too."""
_FIRST = 0.25
"""What the first of them may take, which has no edit: after a longer one there is no time for any other."""
_MOST = 12
"""Trials of one crash."""
_NO_ANSWERS = (CannotCopyError, CannotEditError, ForbiddenError, NoSceneError, TimeIsUpError)
_NOT_ON_META = ", and the meta device was not asked: its first use in a process takes a second"
_NUMBERS = re.compile(r"\d+")

Skip = Callable[[str, str], object]
"""Takes what was not tried, and why."""


class _Failed:
    """How a trial failed: the exception's class, its message without numbers, and where it was raised."""

    def __init__(self, error: BaseException, where: Where) -> None:
        self.kind = type(error)
        self.message = _NUMBERS.sub("#", str(error))
        self.where = where

    def is_like(self, other: "_Failed", place: Place) -> bool:
        """Whether this is the same failure; the meta device has words of its own."""
        same = self.kind is other.kind and self.where == other.where
        return same and (place is Place.META or self.message == other.message)


class FixTrials:
    """The trials of one crash."""

    def __init__(self, error: BaseException, crash: Crashed, skip: Skip) -> None:
        self._error = error
        self._crash = crash
        self._skip = skip
        self._left = _MOST
        self._deadlines: dict[Place, float] = {}
        self._is_out_of_time = False
        self._fit: dict[Place, bool] = {}
        """Where an unedited copy fails as the model did."""

    @property
    def were_made(self) -> bool:
        """Whether any trial was made."""
        return self._left < _MOST

    def answers(self, findings: Sequence[Finding]) -> Iterator[FixTried]:
        """For each finding's fixes, in their order, what came of them, up to the first that passes."""
        proposed = [finding for finding in findings if finding.fixes]
        if not proposed:
            return
        try:
            with unseen():
                scene = scene_of(self._error, self._crash)
        except NoSceneError as reason:
            self._skip(NAME, str(reason))
            return
        reason_against = obstacle(scene.model)
        if reason_against:
            self._skip(NAME, reason_against)
            return
        for finding in proposed:
            yield from self._answers(scene, finding)

    def _answers(self, scene: Scene, finding: Finding) -> Iterator[FixTried]:
        refuted: set[int] = set()
        for place in Place if _meta_is_loaded() else (Place.OWN,):
            open_ones = [index for index in range(len(finding.fixes)) if index not in refuted]
            for index in open_ones if open_ones and self._is_fit(scene, place) else ():
                fix = finding.fixes[index]
                outcome = self._tried(scene, fix.edits, place)
                if isinstance(outcome, str):
                    suffix = " on the meta device" if place is Place.META else ""
                    yield self._event(finding, fix, f"{outcome}{suffix}")
                    return
                if isinstance(outcome, _Failed):
                    is_same = outcome.is_like(_Failed(self._error, scene.where), place)
                    if is_same or scene.samples is None:  # two samples may fail where the whole batch would not
                        refuted.add(index)
                    if is_same:
                        yield self._event(finding, fix, "")
        suffix = "" if _meta_is_loaded() else _NOT_ON_META
        if self._is_out_of_time:
            self._skip(NAME, f"there was not enough time{suffix}")
        elif not any(self._fit.values()):
            self._skip(NAME, f"no copy failed as the model did{suffix}")

    def _event(self, finding: Finding, fix: Fix, passed: str) -> FixTried:
        return FixTried(self._crash.step, finding.fingerprint, fix, passed)

    def _is_fit(self, scene: Scene, place: Place) -> bool:
        if place not in self._fit:
            outcome = self._tried(scene, (), place)
            wanted = _Failed(self._error, scene.where)
            self._fit[place] = isinstance(outcome, _Failed) and outcome.is_like(wanted, place)
        return self._fit[place]

    def _tried(self, scene: Scene, edits: Sequence[Edit], place: Place) -> str | _Failed | None:
        """What came of a trial; None of one that could not be made."""
        if place is Place.META and not self._deadlines.get(place):
            _warm_up()
        now = time.monotonic()
        deadline = self._deadlines.setdefault(place, now + _SECONDS[place])
        if not self._left or now > deadline:
            self._is_out_of_time |= now > deadline
            return None
        if not edits and place is Place.OWN:
            deadline = min(deadline, now + _FIRST)
        self._left -= 1
        try:
            return _trial(scene, edits, place, deadline)
        except (CannotCopyError, NoSceneError) as reason:
            self._left = 0
            self._skip(NAME, str(reason))
        except TimeIsUpError:
            self._is_out_of_time = True
        except _NO_ANSWERS:
            pass
        return None


def _meta_is_loaded() -> bool:
    return "torch._dynamo" in sys.modules


def _warm_up() -> None:
    """The first use of the meta device imports what is left of it, which is no part of any trial's time."""
    with isolated(None):
        _ = (torch.empty(1, 1, device="meta") @ torch.empty(1, 1, device="meta")).normal_()


def _trial(scene: Scene, edits: Sequence[Edit], place: Place, deadline: float) -> str | _Failed:
    with ExitStack() as stack:
        stack.enter_context(isolated(scene.model))
        stack.enter_context(Guard(deadline))
        copier = Copier(place, scene.samples, deadline)
        try:
            return scene.play(copier, edits, place)
        except (*_NO_ANSWERS, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the user's code raises, `SystemExit` too, is a failure
            failed = _Failed(error, scene.where_of(error))
            error.__traceback__ = None
            return failed


def answered(finding: Finding, answers: Sequence[FixTried]) -> Finding:
    """The finding with the first help that passed; a help after which the same exception came again is dropped."""
    own = [answer for answer in answers if answer.finding == finding.fingerprint]
    for answer in own:
        if answer.passed:
            return replace(finding, help=answer.fix.help, tried=answer.passed)
    if any(answer.fix.help == finding.help for answer in own):
        return replace(finding, help="")
    return finding
