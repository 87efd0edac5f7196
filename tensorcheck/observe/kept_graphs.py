"""Graphs that are kept from step to step: a running loss, a list of losses, a state that is never detached.

Each backward frees what its graph saved, but not the graph, which lives as long as anything leads to it. So a few steps
into the run, once, the graphs of what the running code holds are walked: one with nodes of every step since is growing.
"""

import ast
from bisect import bisect
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import _disable_current_modes

from tensorcheck.events.event import Event
from tensorcheck.events.gradients import GraphKept
from tensorcheck.observe.describe import is_a
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.holders import is_of_user
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.scopes import Scope
from tensorcheck.observe.stack import standing
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site

_FIRST, _LAST = 2, 9
"""The steps between which each has to have added something."""
_MOST_NODES = 50_000
_WIDEST = 64
_DEEPEST = 3
_ADDING = frozenset({"append", "appendleft", "add", "extend", "insert", "push", "put", "store", "update"})

Node = Any
"""Autograd's own; its classes are not public."""


class KeptGraphProbe(Probe):
    """Counts the steps of the first optimizer that holds parameters of a watched model, and looks once."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({GraphKept})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._clock = 0
        """The id of the optimizer whose steps count."""
        self._steps = 0
        self._marks: list[int] = []
        """How many nodes autograd had made at each of these steps."""

    def attach(self, handles: ExitStack) -> None:
        """Register the hook that all optimizers share."""
        handle = register_optimizer_step_pre_hook(timed(self._about_to_step))
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self.is_off or self._steps > _LAST or (self._clock and id(optimizer) != self._clock):
            return
        try:
            subjects = self._optimizers.follow(optimizer).subjects
            if subjects and self.sink.hears_this_thread():
                self._clock = id(optimizer)
                self._count(subjects[0])
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _count(self, subject: Subject) -> None:
        self._steps += 1
        if self._steps >= _FIRST:
            self._marks.append(torch._C._autograd._get_sequence_nr())  # noqa: SLF001 - the only counter that autograd has
        if self._steps == _LAST:
            with standing() as frames, torch._C.DisableTorchFunction(), _disable_current_modes():  # noqa: SLF001 - likewise
                self._look(subject, scopes_of(frames))
            self._steps += 1

    def _look(self, subject: Subject, scopes: Sequence[Scope]) -> None:
        """Of several that lead through each step the one with the smallest graph is what the others are made from."""
        kept = []
        for holder, roots in _held(scopes).items():
            numbers, nodes = _walked(roots)
            steps = {bisect(self._marks, number) for number in numbers}
            if {*range(len(self._marks) - 1)} <= steps:  # the step that is under way has yet to be added
                kept.append((nodes, holder))
        for nodes, holder in sorted(kept, key=itemgetter(0))[:1]:
            site, here = _adding(holder), self.sink.sites.here()
            event = GraphKept(subject.step, holder.path, len(self._marks) - 1, nodes, site, here)
            self.sink.emit(event, subject)


class _Holder(NamedTuple):
    """What holds the graph."""

    path: str
    scope: Scope
    owner: type | None
    """The class whose attribute it is; None of a variable."""


def _held(scopes: Sequence[Scope]) -> Mapping[_Holder, Sequence[Node]]:
    """The nodes that the names of the running code lead to, those of a container together."""
    found: dict[_Holder, list[Node]] = {}
    seen: set[int] = set()
    for scope in reversed(scopes):
        for name, value in list(scope.names.items()):
            if id(value) not in seen and not name.startswith("__"):
                seen.add(id(value))
                for holder, node in _nodes(_Holder(name, scope, None), value, _DEEPEST):
                    found.setdefault(holder, []).append(node)
    return found


def _nodes(at: _Holder, value: Any, depth: int) -> Iterator[tuple[_Holder, Node]]:  # noqa: ANN401 - anything has a name
    if is_a(value, Tensor):
        if value.grad_fn is not None:
            yield at, value.grad_fn
    elif depth and is_a(value, list, tuple, deque):
        for item in (*islice(value, _WIDEST), *islice(reversed(value), _WIDEST)):
            yield from _nodes(at, item, depth - 1)
    elif depth and is_a(value, dict):
        for key, item in islice(list(value.items()), _WIDEST):
            place = at._replace(path=f"{at.path}[{key!r}]") if isinstance(key, str) else at
            yield from _nodes(place, item, depth - 1)
    elif depth and (is_a(value, nn.Module) or is_of_user(value)):
        own = [*vars(value).items(), *(value.named_children() if is_a(value, nn.Module) else ())]
        for attribute, item in own:
            if not attribute.startswith("_"):
                yield from _nodes(at._replace(path=f"{at.path}.{attribute}", owner=type(value)), item, depth - 1)


def _walked(roots: Sequence[Node]) -> tuple[set[int], int]:
    """The numbers of all nodes that are no leaves, and how many there are."""
    seen, waiting = set(roots), list(roots)
    numbers: set[int] = set()
    while waiting and len(seen) < _MOST_NODES:
        node = waiting.pop()
        if node.next_functions:
            numbers.add(node._sequence_nr())  # noqa: SLF001 - the only name that it has
        new = {each for each, _ in node.next_functions if each is not None} - seen
        seen |= new
        waiting += new
    return numbers, len(seen)


def _adding(holder: _Holder) -> Site | None:
    """The statement that adds to it, or else that gives it its value."""
    name, scope = holder.path.partition("[")[0].rpartition(".")[2], holder.scope
    bodies = [scope.body, tree_of(scope.filename)] if holder.owner is None else list(_classes(holder))
    for is_wanted in (_adds, _gives_again, _gives):
        for body in bodies:
            for node in ast.walk(body) if body is not None else ():
                if isinstance(node, ast.stmt) and is_wanted(node, name):
                    return site_of_node(node, scope.filename, scope.function if body is scope.body else "")
    return None


def _classes(holder: _Holder) -> Iterator[ast.AST]:
    """The source of its owner's class, and the running function, where these are in one file."""
    tree = tree_of(holder.scope.filename)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.ClassDef) and holder.owner is not None and node.name == holder.owner.__name__:
            yield node
    yield holder.scope.body


def _adds(node: ast.stmt, name: str) -> bool:
    """Whether it is `name += …`, `name.append(…)` or `name[…] = …`."""
    match node:
        case ast.AugAssign(target=target):
            return _is_named(target, name)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=value, attr=attr))):
            return attr in _ADDING and _is_named(value, name)
        case ast.Assign(targets=[ast.Subscript(value=value)]):
            return _is_named(value, name)
    return False


def _gives_again(node: ast.stmt, name: str) -> bool:
    """Whether it gives a name something that is made from itself."""
    uses = isinstance(node, ast.Assign) and any(
        _is_named(part, name) for part in ast.walk(node.value) if isinstance(part, ast.expr)
    )
    return uses and _gives(node, name)


def _gives(node: ast.stmt, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    parts = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return any(_is_named(part, name) for part in parts)


def _is_named(node: ast.expr, name: str) -> bool:
    match node:
        case ast.Name(id=found) | ast.Attribute(attr=found):
            return found == name
        case ast.Subscript(value=value):
            return _is_named(value, name)
    return False
