"""Files that each of several processes saves, though one of them would do.

A process of a higher rank that saves is enough, unless its code picks it. The first one saves in healthy code too: it
is told of where no condition on the way to the call can be about the process.
"""

import ast
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, distributed

from tensorcheck.events.checkpoint import SavedByRank
from tensorcheck.events.event import Event
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.evaluating import known_value
from tensorcheck.observe.frames import file_of_caller
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.scopes import Scope, with_conditions, within
from tensorcheck.observe.stack import standing
from tensorcheck.observe.written_files import path_of

_OF_PROCESSES = re.compile(r"rank|main|master|primary|chief|leader", re.IGNORECASE)
_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}")
"""What `tempfile` calls the folders that it makes, each process its own."""
_EXITS = (ast.Return, ast.Continue, ast.Break, ast.Raise)


class SavedByRankProbe(Probe):
    """Hears `torch.save` where several processes train together."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SavedByRank})

    def attach(self, handles: ExitStack) -> None:
        """Patch it."""
        handles.enter_context(PATCHES.patch_attribute(torch, "save", self))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain what raises."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Something was saved."""
        if not distributed.is_available() or not distributed.is_initialized() or not self.sink.hears_this_thread():
            return
        rank, world = distributed.get_rank(), distributed.get_world_size()
        target = args[1] if len(args) > 1 else kwargs.get("f")
        file = path_of(target)
        if world == 1 or not file or not file_of_caller() or _is_own_path(target, file, rank) or _is_first_there(rank):
            return
        site = self.sink.sites.here()
        if self.sink.is_known(("saved by rank", site)):
            return
        with standing() as frames:
            is_picked = any(_is_picked(scope, rank) for scope in scopes_of(frames))
        if not is_picked:
            event = SavedByRank(self.sink.step, rank, world, Path(file).name, site)
            self.sink.emit(event, signature=("saved by rank", site))


def _is_own_path(target: object, file: str, rank: int) -> bool:
    """Whether the path tells the processes apart, as far as it is spelled: by the rank, or as a temporary one."""
    spelled = os.fsdecode(target) if isinstance(target, str | os.PathLike) else file
    last = Path(spelled).parts[-2:]
    numbers = {int(each) for part in last for each in re.findall(r"\d+", part)}
    is_temporary = file == os.devnull or any(_TEMPORARY.fullmatch(part) for part in Path(file).parts)
    return is_temporary or rank in numbers or os.getpid() in numbers


def _is_first_there(rank: int) -> bool:
    """Whether it is the first process of another machine, which may have disks of its own."""
    return rank > 0 and os.environ.get("LOCAL_RANK") == "0"


def _is_picked(scope: Scope, rank: int) -> bool:
    """Whether a condition on the way to where a function stands may be about the process.

    Of the first one any condition may that is not about numbers. A decorator of the user's own stands on the way too.
    """
    named = (each.func if isinstance(each, ast.Call) else each for each in getattr(scope.body, "decorator_list", ()))
    if any(_OF_PROCESSES.search(ast.unparse(each).replace("hydra.main", "")) for each in named):
        return True
    return any(_is_about_rank(test, scope.names, rank) for test in _tests_before(scope))


def _tests_before(scope: Scope) -> Iterator[ast.expr]:
    """The tests of the `if`s that lead to where it stands, and of those that may leave before."""
    for node, conditions in with_conditions(scope.body):
        if node is scope.standing:
            yield from (test for test, _ in conditions)
    for node in within(scope.body):
        if isinstance(node, ast.If) and any(isinstance(part, _EXITS) for part in ast.walk(node)):
            yield node.test
        if isinstance(node, ast.IfExp | ast.BoolOp) and any(part is scope.standing for part in ast.walk(node)):
            yield node.test if isinstance(node, ast.IfExp) else node


def _is_about_rank(test: ast.expr, names: Mapping[str, object], rank: int) -> bool:
    text = ast.unparse(test).replace("__name__ == '__main__'", "")
    if not text:
        return False
    if _OF_PROCESSES.search(text):
        return True
    named = [part for part in ast.walk(test) if isinstance(part, ast.Name | ast.Attribute)]
    values = [known_value(part, names) for part in named]
    if any(type(value) is int and value == rank for value in values) and _tells_one_number(test):
        return True
    is_called = any(isinstance(part, ast.Call) for part in ast.walk(test))
    is_of_numbers = all(type(value) in (int, float) or isinstance(value, Tensor) for value in values)
    return rank == 0 and (is_called or not is_of_numbers)


def _tells_one_number(test: ast.expr) -> bool:
    """Whether a test asks for a number or for zero: `me == last`, `me > 0`, `not me`."""
    compared = [part for part in ast.walk(test) if isinstance(part, ast.Compare)]
    beside = [each for part in compared for each in (part.left, *part.comparators)]
    is_fixed = any(isinstance(each, ast.Constant) and each.value in (0, 1) for each in beside)
    return (
        not compared or is_fixed or any(isinstance(each, ast.Eq | ast.NotEq) for part in compared for each in part.ops)
    )
