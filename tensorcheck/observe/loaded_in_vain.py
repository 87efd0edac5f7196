"""Weights that are loaded into a module that is made for that and used by nobody: another one goes on without them.

The code has to show that the module is not used, and the heap that nothing else holds it: a cache, a parent, a list.
"""

import ast
import gc
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MethodType
from typing import Any, ClassVar

from torch import nn

from tensorcheck.events.checkpoint import LoadedInVain
from tensorcheck.events.event import Event
from tensorcheck.observe.bindings import bindings
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import file_of_caller, site_of_node, tree_of
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe
from tensorcheck.observe.scopes import Body, Scope, called_name
from tensorcheck.observe.stack import standing
from tensorcheck.observe.unregistered import modules_at_hand

_PREPARING = frozenset(
    {
        *("load_state_dict", "eval", "train", "to", "cuda", "cpu", "float", "half", "double", "bfloat16"),
        "requires_grad_",
    }
)
"""Methods that make a module ready for use and do not use it."""


@dataclass(frozen=True, slots=True)
class _Receiver:
    """What `load_state_dict` was called on, which nobody uses."""

    name: str = ""
    value: ast.expr | None = None
    """What the name is given."""


class LoadedInVainProbe(Probe):
    """Hears `load_state_dict` of all modules, as long as nothing was trained: later it may be there for a check."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({LoadedInVain})

    def attach(self, handles: ExitStack) -> None:
        """Patch the method that all modules share."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "load_state_dict", self))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain what raises."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A state was loaded."""
        if self.sink.step or not file_of_caller() or not self.sink.hears_this_thread():
            return
        event = self._suspected(args[0])
        if event is not None and not _is_held(args[0], is_global=bool(event.name) and not event.function):
            self.sink.emit(event)

    def _suspected(self, module: nn.Module) -> LoadedInVain | None:
        """What the code says of it; what is read of the running frames is let go, for it holds the module."""
        with standing() as frames:
            scopes = scopes_of(frames)
            receiver = _unused_receiver(scopes[-1]) if scopes else None
            if receiver is None or _is_shared(module, modules_at_hand(scopes)):
                return None
            return self._event(type(module).__name__, receiver, scopes[-1])

    def _event(self, kind: str, receiver: _Receiver, scope: Scope) -> LoadedInVain:
        is_script = isinstance(scope.body, ast.Module)
        value = receiver.value
        made = site_of_node(value, scope.filename, scope.function) if value is not None else None
        return LoadedInVain(
            step=self.sink.step,
            kind=kind,
            name=receiver.name,
            function="" if is_script else scope.function.rpartition(".")[2],
            has_twin=isinstance(value, ast.Call) and _is_made_again(value, scope.body),
            made=made,
            site=self.sink.sites.here(),
        )


def _unused_receiver(scope: Scope) -> _Receiver | None:
    """What the running line loads into, if nothing else is done with it."""
    call = scope.standing
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or _is_tried(scope, call):
        return None
    if call.func.attr != "load_state_dict":
        return None
    match call.func.value:
        case ast.Call() as made if called_name(made) not in ("super", "getattr"):
            return _Receiver()
        case ast.Name(id=name):
            return _unused_name(name, scope)
        case _:
            return None


def _unused_name(name: str, scope: Scope) -> _Receiver | None:
    """A name that a call alone gave its value, and that is used to prepare it at most."""
    given = [each for each in bindings(scope.body, name) if not _is_prepared(each.value, name)]
    if len(given) != 1 or given[0].is_loop or given[0].path or not isinstance(given[0].value, ast.Call):
        return None
    is_script = isinstance(scope.body, ast.Module)
    if is_script and not (_is_script(scope) and _is_made_again(given[0].value, scope.body)):
        return None
    return _Receiver(name, given[0].value) if not _is_used(name, scope.body) else None


def _is_script(scope: Scope) -> bool:
    """Whether it is a whole program: of a notebook, and of a module, other code may use the names."""
    return scope.names.get("__name__") == "__main__" and Path(scope.filename).is_file()


def _is_made_again(value: ast.Call, body: Body) -> bool:
    """Whether another statement makes such a module: the one that is used."""
    calls = (node for node in ast.walk(body) if isinstance(node, ast.Call) and called_name(node) == called_name(value))
    return sum(1 for _ in calls) > 1


def _is_used(name: str, body: Body) -> bool:
    harmless = {id(node) for node in _receivers(body, name)}
    return any(
        isinstance(node, ast.Global | ast.Nonlocal)
        or (
            isinstance(node, ast.Name)
            and node.id == name
            and isinstance(node.ctx, ast.Load)
            and id(node) not in harmless
        )
        for node in ast.walk(body)
    )


def _receivers(body: Body, name: str) -> Iterator[ast.expr]:
    """Where the name is the receiver of a preparing method, in a statement that gives its result to no other name."""
    for node in ast.walk(body):
        match node:
            case ast.Expr(value=value):
                yield _prepared(value)
            case ast.Assign(targets=[ast.Name(id=given)], value=value) if given == name:
                yield _prepared(value)
            case ast.Call(func=ast.Attribute(value=ast.Name() as receiver, attr="load_state_dict")):
                yield receiver


def _prepared(value: ast.expr) -> ast.expr:
    """What a chain of preparing methods begins with."""
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _PREPARING:
        value = value.func.value
    return value


def _is_prepared(value: ast.expr, name: str) -> bool:
    """Whether a statement gives the name what it stands for already: `net = net.to(device)`."""
    start = _prepared(value)
    return isinstance(start, ast.Name) and start.id == name


def _is_tried(scope: Scope, call: ast.Call) -> bool:
    """Whether the call is there to see if it raises."""
    tree = tree_of(scope.filename) or ast.Module([], [])
    tried = (node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.With) and _is_a_try(node))
    return any(part is call for node in tried for each in node.body for part in ast.walk(each))


def _is_a_try(node: ast.Try | ast.With) -> bool:
    return isinstance(node, ast.Try) or any("raises" in ast.unparse(each.context_expr) for each in node.items)


def _is_shared(module: nn.Module, named: Mapping[str, nn.Module]) -> bool:
    """Whether the running code has another module with some of its parameters: the one in a wrapper."""
    own = {id(tensor) for tensor in module.parameters()}
    others = (other for other in named.values() if other is not module)
    return any(id(tensor) in own for other in others for tensor in other.parameters())


def _is_held(module: nn.Module, *, is_global: bool) -> bool:
    """Whether anything but the running code, which is frames and their arguments, holds it or a part of it."""
    parts = list(module.modules())
    own = {id(parts), *(id(vars(part)["_modules"]) for part in parts)}
    for holder in gc.get_referrers(*parts):
        is_globals = is_global and isinstance(holder, dict) and holder.get("__name__") == "__main__"
        if id(holder) not in own and not isinstance(holder, FrameType | tuple | MethodType) and not is_globals:
            return True
    return False
