"""One sample of a dataset, made once more line by line: what ran, and what the names then stood for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tensorcheck.loading import Failure
from tensorcheck.observe.failures import failure_of
from tensorcheck.observe.samples import array_meta
from tensorcheck.observe.undisturbed import RandomState, undisturbed
from tensorcheck.tensors import TensorMeta

_MOST_LINES = 2000
_PLAIN = (bool, int, float)


@dataclass(frozen=True, slots=True)
class ExecutedLine:
    """A line of the user's that ran, and right after it the names in its function that stood for tensors or numbers."""

    file: str
    function: str
    """Its qualified name."""
    line: int
    values: Mapping[str, TensorMeta | bool | int | float]


@dataclass(frozen=True, slots=True)
class Replay:
    """What ran for one sample, in the order in which the lines ended."""

    lines: tuple[ExecutedLine, ...]
    failure: Failure | None = None

    def after(self, file: str, line: int) -> Mapping[str, TensorMeta | bool | int | float]:
        """What the names stood for right after a line, when it ran last."""
        return next((ran.values for ran in reversed(self.lines) if (ran.file, ran.line) == (file, line)), {})


LineEnded = Callable[[FrameType, int], None]


class Replaying:
    """Tells of each line of the user's that has run, once its names are bound."""

    def __init__(self, ended: LineEnded) -> None:
        self._ended = ended
        self._running: dict[FrameType, int] = {}

    def watch(self, frame: FrameType, event: str) -> None:
        """Hear of an event of a frame; a line has ended when the next one begins or the function returns."""
        line = self._running.pop(frame, None)
        if line is not None and event in ("line", "return"):
            self._ended(frame, line)
        elif line is not None:
            self._running[frame] = line
        if event == "line":
            self._running[frame] = frame.f_lineno


def executed_lines(dataset: Any, index: Any, state: RandomState | None = None) -> Replay:  # noqa: ANN401 - any dataset
    """Run `dataset[index]` once more, where random numbers stand as given, and tell what it did.

    Only a map-style dataset can be asked; it takes at most about 0.3 seconds, and leaves random numbers, output,
    warnings and a debugger's tracing as they were.

    >>> class Squares:
    ...     def __getitem__(self, index):
    ...         return index * index
    >>> executed_lines(Squares(), 3).failure is None
    True
    """
    lines: list[ExecutedLine] = []

    def ended(frame: FrameType, line: int) -> None:
        if len(lines) < _MOST_LINES:
            code = frame.f_code
            lines.append(ExecutedLine(code.co_filename, code.co_qualname, line, _plain_values(frame)))

    failure = replayed(dataset, index, ended, state)
    return Replay(tuple(lines), failure)


def replayed(dataset: Any, index: Any, ended: LineEnded, state: RandomState | None) -> Failure | None:  # noqa: ANN401
    """Run `dataset[index]` once more, and hear of each line of the user's; what it raised, if it did."""
    failure = None
    with undisturbed(Replaying(ended).watch):
        if state is not None:
            state.restore()
        try:
            dataset[index]
        except Exception as error:  # noqa: BLE001 - whatever it raises is part of the answer
            failure = failure_of(error, "__getitem__")
    return failure


def _plain_values(frame: FrameType) -> dict[str, TensorMeta | bool | int | float]:
    """The names of a frame that stand for tensors, arrays or numbers."""
    values: dict[str, TensorMeta | bool | int | float] = {}
    for name, value in frame.f_locals.items():
        meta = array_meta(value)
        if meta is not None:
            values[name] = meta
        elif isinstance(value, _PLAIN):
            values[name] = value
    return values
