"""Anything as the lines of a peek: what holds tensors is opened, and nothing of the user's is drawn, run or printed."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from types import MemberDescriptorType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.data import DataLoader, Dataset

from tensorcheck.observe.describe import is_a
from tensorcheck.observe.peeked_parts import (
    dataset_title,
    loader_title,
    module_lines,
    module_title,
    optimizer_lines,
    optimizer_title,
)
from tensorcheck.observe.peeked_tensors import Line, array_line, tensor_line
from tensorcheck.observe.values import statistics_of
from tensorcheck.peeks import Peek, PeekRow

_DEEPEST = 6
_LONGEST, _MOST_NAMES = 64, 1000
"""How much of a list and of a dictionary is shown."""
_MOST = 1000
_PLAIN = (int, float, bool, str, bytes, complex, type(None), torch.Size, torch.dtype, torch.device, torch.layout)
_LONGEST_TEXT = 40


def look_at(value: object) -> Peek:
    """What something is and holds, with one wait for each device on which there are tensors."""
    with _out_of_sight():
        lines = list(islice(_lines(value), _MOST + 1))
        statistics = statistics_of([line.values for line in lines[:_MOST]])
        rows = [_with(line, seen) for line, seen in zip(lines, statistics, strict=False)]
    more = [PeekRow("…", "and more")] if len(lines) > _MOST else []
    return Peek(_title(value), (*rows, *more))


def _with(line: Line, seen: Any) -> PeekRow:  # noqa: ANN401 - statistics or none
    is_unread = seen is None and line.values is not None and line.values.numel() > 0
    return replace(line.row, statistics=seen, notes=(*line.row.notes, *(["values not read"] if is_unread else [])))


@contextmanager
def _out_of_sight() -> Iterator[None]:
    """Within, no mode and no subclass of the user's hears what is computed, and autograd writes nothing down."""
    with ExitStack() as handles:
        handles.enter_context(torch._C.DisableTorchFunction())  # noqa: SLF001 - it has no other name
        handles.enter_context(_disable_current_modes())
        handles.enter_context(torch.no_grad())
        yield


def _lines(value: object) -> Iterator[Line]:
    """The lines of what is looked at: of a container, a module, an optimizer or a dataset, what it holds."""
    for kind, lines in _OPENED.items():
        if is_a(value, kind):
            try:
                yield from lines(value)
            except Exception as error:  # noqa: BLE001 - a subclass of the user's
                yield Line(PeekRow("…", f"can't be read: {type(error).__name__}"))
            return
    yield from _nested(value, "", _DEEPEST)


def _dataset_lines(dataset: object) -> Iterator[Line]:
    """The tensors and arrays that a dataset has as attributes; no sample is asked for."""
    for name, held in list(vars(dataset).items()):
        if is_a(held, Tensor, np.ndarray, list, tuple, dict, Dataset):
            yield from _nested(held, name, 1)


_OPENED: dict[type, Callable[[Any], Iterable[Line]]] = {
    nn.Module: module_lines,
    Optimizer: optimizer_lines,
    DataLoader: lambda loader: _dataset_lines(loader.dataset),
    Dataset: _dataset_lines,
}
_TITLES: dict[type, Callable[[Any], str]] = {
    nn.Module: module_title,
    Optimizer: optimizer_title,
    DataLoader: loader_title,
    Dataset: dataset_title,
}


def _title(value: object) -> str:
    """What the whole is; empty where its only line says that."""
    try:
        return _title_of(value) if is_a(value, *_TITLES) or _is_opened(value) else ""
    except Exception:  # noqa: BLE001 - a user's `__len__`
        return type(value).__name__


def _title_of(value: object) -> str:
    for kind, title in _TITLES.items():
        if is_a(value, kind):
            return title(value)
    if is_a(value, Mapping, list, tuple, set, frozenset, deque) and not hasattr(type(value), "_fields"):
        return f"{type(value).__name__} of {len(cast('list[object]', value))}"
    return type(value).__name__


def _nested(value: Any, name: str, depth: int) -> Iterator[Line]:  # noqa: ANN401 - anything may be in a batch
    """The lines of something inside, by the path that leads to it."""
    try:
        yield from _opened(value, name, depth)
    except Exception as error:  # noqa: BLE001 - code of the user's: a mapping, a property of a tensor
        yield Line(PeekRow(name, f"can't be read: {type(error).__name__}", type(value).__name__))


def _opened(value: Any, name: str, depth: int) -> Iterator[Line]:  # noqa: ANN401 - likewise
    if is_a(value, Tensor):
        yield tensor_line(value, name)
    elif is_a(value, np.ndarray, np.generic):
        yield array_line(value, name)
    elif type(value) in _PLAIN:
        yield Line(PeekRow(name, _clipped(repr(value)), type(value).__name__))
    elif depth and not is_a(value, *_TITLES) and _is_opened(value):
        yield from _children_lines(value, name, depth)
    else:
        yield Line(PeekRow(name, _title(value) or type(value).__name__))


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _is_opened(value: object) -> bool:
    return is_a(value, Mapping, list, tuple, set, frozenset, deque) or dataclasses.is_dataclass(type(value))


def _children_lines(value: Any, name: str, depth: int) -> Iterator[Line]:  # noqa: ANN401 - likewise
    kinds = {type(child) for child in value} if type(value) in (list, tuple, set, deque) else set()
    if kinds and kinds <= {int, float, bool, str} and len(value) > 1:
        of = " and ".join(sorted(kind.__name__ for kind in kinds))
        yield Line(PeekRow(name, f"{type(value).__name__} of {len(value):,} {of}"))
        return
    most = _MOST_NAMES if is_a(value, Mapping) else _LONGEST
    for path, child in islice(_children(value, name), most):
        yield from _nested(child, path, depth - 1)
    if is_a(value, Mapping, list, tuple, set, frozenset, deque) and (more := len(value) - most) > 0:
        yield Line(PeekRow(f"{name}[…]", f"{more:,} more"))


def _children(value: Any, name: str) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - likewise
    if is_a(value, dict):
        yield from ((_item(name, key), child) for key, child in dict.items(value))
    elif is_a(value, Mapping):
        yield from ((_item(name, key), value[key]) for key in value)
    elif is_a(value, tuple) and hasattr(type(value), "_fields"):
        yield from ((_attribute(name, field), child) for field, child in zip(type(value)._fields, value, strict=False))
    elif is_a(value, list, tuple, set, frozenset, deque):
        yield from ((f"{name}[{place}]", child) for place, child in enumerate(value))
    else:
        yield from ((_attribute(name, field), child) for field, child in _fields(value))


def _item(name: str, key: object) -> str:
    if type(key) is str:
        return f'{name}["{key}"]' if name else key
    return f"{name}[{repr(key) if type(key) in _PLAIN else type(key).__name__}]"


def _attribute(name: str, field: str) -> str:
    return f"{name}.{field}" if name else field


def _fields(value: object) -> Iterator[tuple[str, object]]:
    """The fields of a dataclass that it really holds, without running a property."""
    held = value.__dict__ if hasattr(value, "__dict__") else {}
    for field in dataclasses.fields(cast("Any", value)):
        slot = getattr(type(value), field.name, None)
        if field.name in held:
            yield field.name, held[field.name]
        elif isinstance(slot, MemberDescriptorType):
            yield field.name, slot.__get__(value)
