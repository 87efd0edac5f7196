"""How long this process has spent in code of ours, and what of it a budget still allows.

It is measured where PyTorch hands over to us: around the listeners of each patched call, each hook of an optimizer, and
what the recorder writes down. The frames in which a patched function calls its original are not in it: about a
microsecond a step. Like the patches, the clock belongs to the process and to no session.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import ParamSpec

P = ParamSpec("P")
Began = tuple[float, float]


class OwnTime:
    """A clock that runs while our code does; what runs inside of something that is measured is counted once."""

    __slots__ = ("seconds", "waited")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waited = 0.0
        """How much of that went by in a debugger that we opened."""

    def begin(self) -> Began:
        """Our code is entered; the result is for `end`."""
        return self.seconds, perf_counter()

    def end(self, began: Began) -> None:
        """It is left: whatever was added in between is part of this."""
        self.seconds = began[0] + perf_counter() - began[1]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within, all is ours."""
        began = self.begin()
        try:
            yield
        finally:
            self.end(began)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within, the user sits before a debugger."""
        began = perf_counter()
        try:
            yield
        finally:
            self.waited += perf_counter() - began


OWN_TIME = OwnTime()
"""The clock of this process."""


def timed(hook: Callable[P, None]) -> Callable[P, None]:
    """A hook whose time counts as ours.

    >>> before = OWN_TIME.seconds
    >>> timed(lambda: None)()
    >>> OWN_TIME.seconds > before
    True
    """

    @functools.wraps(hook)
    def within(*args: P.args, **kwargs: P.kwargs) -> None:
        began = OWN_TIME.begin()
        try:
            hook(*args, **kwargs)
        finally:
            OWN_TIME.end(began)

    return within


class Budget:
    """What a session took of the time since it began, and whether it may take more.

    >>> budget = Budget(0.5)
    >>> budget.allows(), budget.left_out
    (True, Counter())
    """

    def __init__(self, share: float | None, clock: OwnTime = OWN_TIME, now: Callable[[], float] = perf_counter) -> None:
        self.share = share
        """The highest part of all time that we may take; None where that is not limited."""
        self.left_out: Counter[str] = Counter()
        """What was not done, and how often, since too much was taken already."""
        self._clock, self._now = clock, now
        self._began = now(), clock.seconds, clock.waited
        self._ended: float | None = None

    def allows(self) -> bool:
        """Whether what can be left out may be done now."""
        return self.share is None or self.cost() <= self.share

    def cost(self) -> float:
        """The part of the time since the beginning that we took, between 0 and 1."""
        if self._ended is not None:
            return self._ended
        began, seconds, waited = self._began
        idle = self._clock.waited - waited
        passed, spent = self._now() - began - idle, self._clock.seconds - seconds - idle
        return min(max(spent / passed, 0.0), 1.0) if passed > 0 else 0.0

    def end(self) -> None:
        """The session is over: what comes now is not of its time."""
        self._ended = self.cost()
