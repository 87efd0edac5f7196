"""An exception of the user's own code below a DataLoader, as plain facts."""

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from types import FunctionType, ModuleType

from torch import Tensor, nn

from tensorcheck.loading import Failure, Named
from tensorcheck.observe.evaluating import UNKNOWN, known_value, namespace_of
from tensorcheck.observe.frames import Owner, Sites, expression_at, frames_of, owner_of, site_of_line
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.samples import array_meta, value_meta
from tensorcheck.observe.stack import StackFrame

_LONGEST = 40
_MOST = 5
"""Expressions that are told of a failing line."""
_FRAME = re.compile(r'^  File "(.+?)", line (\d+), in (.+)$', re.MULTILINE)


def failure_of(error: BaseException, function: str) -> Failure:
    """An exception that was caught right where it was raised, with the frames below."""
    frames = [StackFrame(*each) for each in frames_of(error.__traceback__)]
    return failure_in([frame for frame in frames if frame.owner is not Owner.OURS], error, function)


def failure_in(frames: Sequence[StackFrame], error: BaseException, function: str) -> Failure:
    """An exception in the innermost of the user's frames."""
    last = next((frame for frame in reversed(frames) if frame.owner is Owner.USER), None)
    site = Sites().at(last.frame.f_code, last.instruction) if last is not None else None
    named = tuple(_named(last, Lineages(frames))) if last is not None else ()
    return Failure(type(error).__name__, _words(error), site, function, named)


def _words(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def failure_told(text: str, start: str) -> Failure:
    """An exception of which only the text of its traceback is left; `start` is the function where PyTorch called it."""
    frames = [(file, int(line), function) for file, line, function in _FRAME.findall(text)]
    places = [place for place, frame in enumerate(frames) if frame[2] == start]
    below = frames[places[-1] + 1 :] if places else frames
    own = [frame for frame in below if owner_of(frame[0]) is Owner.USER]
    error, message = _raised(text)
    site = site_of_line(*own[-1]) if own else None
    return Failure(error, message, site, own[0][2] if own else "")


def _raised(text: str) -> tuple[str, str]:
    """The class and the first line of the message, from the end of a traceback."""
    frames = list(_FRAME.finditer(text))
    rest = text[frames[-1].end() :] if frames else text
    line = next((line for line in rest.splitlines() if line and not line.startswith(" ")), "")
    error, _, message = line.partition(": ")
    return error.rpartition(".")[2], message


def _named(frame: StackFrame, lineages: Lineages) -> Iterator[Named]:
    """The parts of the failing expression whose values can be told, the smallest last."""
    node = expression_at(frame.frame.f_code, frame.instruction)
    names = namespace_of(frame.frame)
    kinds = (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp)
    parts = {ast.unparse(part): part for part in ast.walk(node) if isinstance(part, kinds)} if node is not None else {}
    values = {spelled: known_value(part, names) for spelled, part in parts.items()}
    is_elsewhere = any(isinstance(value, Tensor) and value.device.type != "cpu" for value in values.values())
    shown = ((spelled, _shown(value, with_device=is_elsewhere)) for spelled, value in values.items())
    for spelled, words in islice(((spelled, words) for spelled, words in shown if words), _MOST):
        yield Named(spelled, words, lineages.of(parts[spelled], None))


def _shown(value: object, *, with_device: bool) -> str:
    """A value in a few words; empty where it is not known or says nothing."""
    if value is UNKNOWN:
        return ""
    if isinstance(value, Tensor) and with_device:
        return f"{value_meta(value, 0)} {value.device}"
    if isinstance(value, FunctionType | ModuleType | type | nn.Module) or callable(value):
        return ""
    if isinstance(value, bool | int | float | str | bytes | None):
        written = repr(value)
        return written if len(written) <= _LONGEST else f"{written[: _LONGEST - 1]}…"
    if array_meta(value) is not None or isinstance(value, list | tuple | dict):
        return str(value_meta(value, 0))
    return ""
