"""What a model's code reaches beside the model, which a copy of the model does not hold.

To call a copy when nothing failed must change nothing at all. Tensors can't be changed by it, and what a list, dict or
set of numbers holds is put back, as are the attributes of an object that has plain ones alone; an object of any other
class may count its calls, or write them down.
"""

import dis
import enum
import inspect
import logging
import pathlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.observe.frames import Owner, owner_of

_CONSTANTS = (bool, int, float, complex, str, bytes, type(None), range)
_HARMLESS = (
    *(ModuleType, type, BuiltinFunctionType, Tensor, torch.dtype, torch.device, torch.Size),
    *(logging.Logger, enum.Enum, pathlib.PurePath, re.Pattern),
)
_DEEPEST = 3
_MOST = 1000


def reached_beside(model: nn.Module) -> str:
    """The first name in the source of the model's own classes that stands for what may remember; empty if none does.

    >>> reached_beside(nn.Linear(4, 2))
    ''
    """
    seen: set[CodeType] = set()
    for function in _functions(model):
        for name, value in _reached(function, seen):
            if not _is_harmless(value):
                return name
    return ""


@contextmanager
def attributes_put_back(model: nn.Module) -> Iterator[None]:
    """After it, the objects of plain attributes that the model's code names are as they were."""
    seen: set[CodeType] = set()
    reached = [value for function in _functions(model) for _, value in _reached(function, seen)]
    before = {id(value): (value, dict(vars(value))) for value in reached if _has_plain_attributes(value)}
    try:
        yield
    finally:
        for value, state in before.values():
            if vars(value) != state:
                vars(value).clear()
                vars(value).update(state)


def _functions(model: nn.Module) -> Iterator[FunctionType]:
    classes = {cls for module in model.modules() for cls in type(module).__mro__}
    for cls in classes:
        for name, value in tuple(vars(cls).items()):
            held = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            held = inspect.unwrap(held) if isinstance(held, FunctionType) else held  # `forward` is patched
            if isinstance(held, FunctionType) and name != "__init__":
                yield held


def _reached(function: FunctionType, seen: set[CodeType]) -> Iterator[tuple[str, object]]:
    """The globals and cells that a function of the user's names, and those of the functions that it names."""
    code = function.__code__
    if code in seen or owner_of(code.co_filename) is not Owner.USER:
        return
    seen.add(code)
    for name, value in (*_cells(function), *_globals(code, function.__globals__)):
        if isinstance(value, FunctionType):
            yield from _reached(value, seen)
        else:
            yield name, value


def _cells(function: FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # it was not assigned yet
            continue
        if name != "__class__":
            yield name, value


def _globals(code: CodeType, names: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL" and instruction.argval in names:
            yield str(instruction.argval), names[instruction.argval]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals(constant, names)


def _is_harmless(value: Any, depth: int = _DEEPEST) -> bool:  # noqa: ANN401 - any object
    if type(value) in _CONSTANTS:
        return True
    if isinstance(value, dict):
        return _is_harmless([*value.values()], depth)
    if isinstance(value, list | set | tuple | frozenset):
        return len(value) <= _MOST and all(type(part) in _CONSTANTS or _is_fixed(part, depth) for part in value)
    if isinstance(value, _HARMLESS) or _is_of_library(value):
        return True
    return bool(depth) and _has_plain_attributes(value)


def _has_plain_attributes(value: object) -> bool:
    state: Any = getattr(value, "__dict__", None)
    if type(state) is not dict or isinstance(value, (*_HARMLESS, nn.Module)) or callable(value):
        return False
    return all(type(part) in _CONSTANTS for part in state.values())


def _is_fixed(value: object, depth: int) -> bool:
    """Whether it is harmless within a container, of which the entries alone are put back."""
    is_container = type(value) in (list, dict, set)
    return bool(depth) and not is_container and (_is_function(value) or _is_harmless(value, depth - 1))


def _is_function(value: object) -> bool:
    return isinstance(value, FunctionType) and owner_of(value.__code__.co_filename) is not Owner.USER


def _is_of_library(value: object) -> bool:
    """Whether it is a wrapped function of an installed package, such as NumPy's, and no state of the user's."""
    module = type(value).__module__.partition(".")[0]
    return callable(value) and not isinstance(value, nn.Module) and module in ("numpy", "functools", "torch", "typing")
