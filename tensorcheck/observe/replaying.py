"""One sample of a dataset, made once more line by line: which lines ran for it."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tensorcheck.loading import Value
from tensorcheck.observe.samples import value_meta
from tensorcheck.observe.undisturbed import RandomState, undisturbed

_MOST_LINES = 2000


@dataclass(frozen=True, slots=True)
class Replay:
    """What ran for one sample."""

    lines: frozenset[tuple[str, int]]
    """The user's lines, each by its file and number; empty where there were too many to hear of them all."""
    value: Value | None
    """What the sample was like; None where making it raised."""


LineEnded = Callable[[FrameType, int, tuple[object, ...]], None]
"""Told of a frame, the number of its line that has run, and what that line returned, if it returned."""


class Replaying:
    """Tells of each line of the user's that has run, once its names are bound."""

    def __init__(self, ended: LineEnded) -> None:
        self._ended = ended
        self._running: dict[FrameType, int] = {}

    def watch(self, frame: FrameType, event: str, argument: object) -> None:
        """Hear of an event of a frame; a line has ended when the next one begins or the function returns."""
        line = self._running.pop(frame, None)
        if line is not None and event in ("line", "return"):
            self._ended(frame, line, (argument,) if event == "return" else ())
        elif line is not None:
            self._running[frame] = line
        if event == "line":
            self._running[frame] = frame.f_lineno


def executed_lines(dataset: Any, index: Any, state: RandomState | None = None) -> Replay:  # noqa: ANN401 - any dataset
    """Run `dataset[index]` once more, where random numbers stand as given, and tell which lines ran.

    Only a map-style dataset can be asked; it takes at most about 0.3 seconds, and leaves random numbers, output,
    warnings and a debugger's tracing as they were.

    >>> class Squares:
    ...     def __getitem__(self, index):
    ...         return index * index
    >>> executed_lines(Squares(), 3).value.plain
    9
    """
    lines: list[tuple[str, int]] = []

    def ended(frame: FrameType, line: int, _: object) -> None:
        if len(lines) <= _MOST_LINES:
            lines.append((frame.f_code.co_filename, line))

    value = replayed(dataset, index, ended, state)
    return Replay(frozenset(lines if len(lines) <= _MOST_LINES else ()), value)


def replayed(dataset: Any, index: Any, ended: LineEnded, state: RandomState | None) -> Value | None:  # noqa: ANN401
    """Run `dataset[index]` once more, and hear of each line of the user's; what it was like, None where it raised."""
    made: list[object] = []
    with undisturbed(Replaying(ended).watch):
        if state is not None:
            state.restore()
        with contextlib.suppress(Exception):  # whatever it raises, there is no sample
            made.append(dataset[index])
    return value_meta(made[0]) if made else None
