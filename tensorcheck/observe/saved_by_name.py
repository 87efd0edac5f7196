"""Objects that are saved whole: a file holds no code, but the names by which it is found again.

What the running script defines is `__main__` to itself and to nobody else. A script that loads its own file finds it.
"""

import ast
import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from tensorcheck.events.checkpoint import SavedByName
from tensorcheck.events.event import Event
from tensorcheck.observe.frames import (
    expression_at,
    file_of_caller,
    site_of_line,
    spelled_arguments,
    tree_of,
    user_frame,
)
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe
from tensorcheck.sites import Site

_MAIN = "__main__"
_DEEPEST = 2
"""Containers in one another that are looked into: a checkpoint, and a list or a dict in it."""
_MOST = 256
"""Elements of each that are looked at: a list may hold a whole dataset."""


@dataclass(frozen=True, slots=True)
class _Named:
    """Something that a file will know by its name alone."""

    thing: type | types.FunctionType
    keys: tuple[object, ...]
    """Where in the saved containers the object is that it is of."""
    holder: object
    part: str = ""


class SavedByNameProbe(Probe):
    """Hears `torch.save`."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SavedByName})

    def attach(self, handles: ExitStack) -> None:
        """Patch it."""
        handles.enter_context(PATCHES.patch_attribute(torch, "save", self))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """What raises is explained where it leaves the user's code."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Something was saved."""
        given = {**dict(zip(("obj", "f", "pickle_module"), args, strict=False)), **kwargs}
        is_file = isinstance(given.get("f"), str | Path) or isinstance(getattr(given.get("f"), "name", None), str)
        if not is_file or given.get("pickle_module", pickle) is not pickle or not self.sink.hears_this_thread():
            return
        named = next(_named(given.get("obj"), ()), None)
        files = file_of_caller(), str(getattr(sys.modules[_MAIN], "__file__", ""))
        if named is not None and all(Path(file).is_file() and not _loads_whole(file) for file in files):
            self.sink.emit(self._event(named))

    def _event(self, named: _Named) -> SavedByName:
        spelled = _spelled(named)
        return SavedByName(
            step=self.sink.step,
            name=named.thing.__qualname__,
            is_class=isinstance(named.thing, type),
            spelled=ast.unparse(spelled) if spelled is not None else "",
            is_module=isinstance(named.holder, nn.Module),
            part=named.part,
            defined=_defined(named.thing),
            site=self.sink.sites.here(),
        )


def _named(saved: object, keys: tuple[object, ...]) -> Iterator[_Named]:
    """What of the running script's own is in it, by name."""
    if isinstance(saved, nn.Module):
        for path, part in saved.named_modules():
            yield from (_Named(kind, keys, saved, path) for kind in _kinds(part))
    elif isinstance(saved, Mapping | list | tuple) and len(keys) < _DEEPEST:
        for key, each in islice(saved.items() if isinstance(saved, Mapping) else enumerate(saved), _MOST):
            yield from _named(each, (*keys, key))
    else:
        yield from (_Named(kind, keys, saved) for kind in _of_script(saved))


def _kinds(part: nn.Module) -> Iterator[type | types.FunctionType]:
    """What is known by name of a module: its class, and what its own attributes and hooks are."""
    yield from _of_script(part)
    for value in vars(part).values():
        for each in islice(value.values(), _MOST) if isinstance(value, Mapping) else [value]:
            if not isinstance(each, nn.Module):
                yield from _of_script(each)


def _of_script(value: object) -> Iterator[type | types.FunctionType]:
    own = value if isinstance(value, type | types.FunctionType) else type(value)
    if own.__module__ == _MAIN and not (isinstance(own, type) and _is_reduced(own)):
        yield own


def _is_reduced(kind: type) -> bool:
    """Whether a class says by itself what is saved of it."""
    owners = (cls for cls in kind.__mro__ if not vars(cls).keys().isdisjoint(("__reduce__", "__reduce_ex__")))
    return next(owners) is not object


def _loads_whole(filename: str) -> bool:
    """Whether a file calls `torch.load` such that it may read more than weights."""
    for node in ast.walk(tree_of(filename) or ast.Module([], [])):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "load":
            words = {word.arg: word.value for word in node.keywords}
            only = words.get("weights_only")
            if None in words or (only is not None and getattr(only, "value", None) is not True):
                return True
    return False


def _spelled(named: _Named) -> ast.expr | None:
    """The object's expression in the running call."""
    frame = user_frame()
    call = expression_at(frame.f_code, frame.f_lasti) if frame is not None else None
    node = spelled_arguments(call, ("obj", "f")).get("obj")
    for key in named.keys:
        if not isinstance(node, ast.Dict):
            return None
        values = zip(node.keys, node.values, strict=True)
        node = next((value for each, value in values if isinstance(each, ast.Constant) and each.value == key), None)
    return node


def _defined(thing: type | types.FunctionType) -> Site | None:
    """The line of its definition, where one statement of the script's file is that."""
    function = thing if isinstance(thing, types.FunctionType) else None
    functions = [each for each in vars(thing).values() if isinstance(each, types.FunctionType)]
    own = [each for each in functions if each.__module__ == _MAIN and each.__qualname__.startswith(thing.__qualname__)]
    function = function or next(iter(own), None)
    if function is None:
        return None
    filename = function.__code__.co_filename
    nodes = (
        node
        for node in ast.walk(tree_of(filename) or ast.Module([], []))
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == thing.__name__
    )
    lines = [node.lineno for node in nodes]
    return site_of_line(filename, lines[0]) if len(lines) == 1 else None
