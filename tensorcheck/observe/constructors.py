"""Which call made an object of a class of the user's."""

import ast
import inspect
from collections.abc import Iterator
from types import FunctionType

from torch import nn

from tensorcheck.observe.frames import Owner, owner_of, tree_of
from tensorcheck.observe.scopes import Place, Scope, called_name, module_scope, within


def construction(owner: object, cls: type, scope: Scope) -> Place | None:
    """The call that made an object; of several calls of its class, the one that a name or attribute holds it by."""
    calls: dict[int, Place] = {}
    for call in _calls_of(cls, scope):
        calls.setdefault(id(call.node), call)
    if len(calls) <= 1:
        return next(iter(calls.values()), None)
    return next((call for call in calls.values() if owner is not None and _made(owner, call, scope)), None)


def _made(owner: object, call: Place, scope: Scope) -> bool:
    """Whether a statement gives what this call makes to a name, or an attribute of an object, that holds the owner."""
    for node in within(call.scope.body):
        if isinstance(node, ast.Assign) and any(part is call.node for part in ast.walk(node.value)):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            attributes = [target.attr for target in node.targets if isinstance(target, ast.Attribute)]
            for outer in around(scope):
                if any(outer.names.get(name) is owner for name in names):
                    return True
                if any(_holds(held, name, owner) for held in outer.names.values() for name in attributes):
                    return True
    return False


def _holds(held: object, name: str, owner: object) -> bool:
    own = held.__dict__ if hasattr(type(held), "__dict__") and isinstance(held, nn.Module) else {}
    return own.get(name) is owner or own.get("_modules", {}).get(name) is owner


def _calls_of(cls: type, scope: Scope) -> Iterator[Place]:
    """Where the user's code makes an object of this class; first where it still runs, for those values count."""
    for outer in around(scope):
        for node in ast.walk(outer.body) if not isinstance(outer.body, ast.Module) else within(outer.body):
            if isinstance(node, ast.Call) and called_name(node) == cls.__name__:
                yield Place(node, outer)
    yield from _calls_in_files(cls, scope)


def _calls_in_files(cls: type, scope: Scope) -> Iterator[Place]:
    for filename in {outer.filename for outer in around(scope)} | {file_of(cls)}:
        tree = tree_of(filename) if filename else None
        for function in ast.walk(tree) if tree is not None else ():
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = Scope(filename, function.name, function, scope.names)
                for node in within(function):
                    if isinstance(node, ast.Call) and called_name(node) == cls.__name__:
                        yield Place(node, inner)


def around(scope: Scope) -> Iterator[Scope]:
    """A scope, those that called it, and the module of the outermost."""
    outer: Scope | None = scope
    while outer is not None:
        yield outer
        if outer.caller is None and (module := module_scope(outer)) is not None:
            yield module
        outer = outer.caller


def file_of(cls: type) -> str:
    """The file that a class of the user's is written in; its module may be run under another's name."""
    for member in vars(cls).values():
        function = inspect.unwrap(member) if callable(member) else None
        if isinstance(function, FunctionType) and owner_of(function.__code__.co_filename) is Owner.USER:
            return function.__code__.co_filename
    try:
        filename = inspect.getsourcefile(cls) or ""
    except (TypeError, OSError):
        return ""
    return filename if owner_of(filename) is Owner.USER else ""
