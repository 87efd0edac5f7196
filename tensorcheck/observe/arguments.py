"""What a function was given under a parameter's name."""

import ast
import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tensorcheck.observe.evaluating import UNKNOWN
from tensorcheck.observe.frames import tree_of
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.scopes import Path, Place, Scope, called_name, within


def parameter_of(scope: Scope, name: str, path: Path = ()) -> Place | None:
    """What a function was given under this name, or the element of it: its caller's argument, else the default."""
    if isinstance(scope.body, ast.Module):
        return None
    arguments, scope = scope.body.args, _with_only_caller(scope)
    names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]
    if name in [*names, *(argument.arg for argument in arguments.kwonlyargs)]:
        given = _given(scope, names, name) or _default(scope, arguments, names, name)
        return given and Place(given.node, given.scope, given.path + path)
    if path and arguments.vararg is not None and arguments.vararg.arg == name:
        return _of_rest(scope, names, path)
    if path and arguments.kwarg is not None and arguments.kwarg.arg == name and isinstance(path[0], str):
        given = _spelled(scope, path[0])
        return given and Place(given.node, given.scope, given.path + path[1:])
    return None


def only_caller(scope: Scope) -> Place | None:
    """The call of a function, where it is known or where its file holds no other."""
    called = _with_only_caller(scope)
    return Place(called.call, called.caller) if called.call is not None and called.caller is not None else None


def _with_only_caller(scope: Scope) -> Scope:
    """A function of which nobody knows who called it, with the one call of it that its file holds."""
    if scope.call is not None or scope.caller is not None or scope.stands_at is not None:
        return scope
    tree = tree_of(scope.filename)
    called = _only_call(tree, getattr(scope.body, "name", "")) if tree is not None else None
    if called is None:
        return scope
    call, body = called
    function = "" if isinstance(body, ast.Module) else body.name
    return replace(scope, call=call, caller=Scope(scope.filename, function, body, scope.names, ran=scope.ran))


@functools.lru_cache(maxsize=256)
def _only_call(tree: ast.Module, name: str) -> tuple[ast.Call, ast.Module | ast.FunctionDef] | None:
    """The only call of a function of this name in a file, and the function that it stands in."""
    if not name or name.startswith("__"):
        return None
    bodies: list[ast.Module | ast.FunctionDef] = [
        tree,
        *(each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)),
    ]
    calls = [
        (node, body)
        for body in bodies
        for node in within(body)
        if isinstance(node, ast.Call) and called_name(node) == name
    ]
    return calls[0] if len(calls) == 1 else None


def parameters(scope: Scope) -> list[str]:
    """The names of all parameters of a scope's function."""
    if isinstance(scope.body, ast.Module):
        return []
    arguments = scope.body.args
    packed = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [each.arg for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *packed]]


def _given(scope: Scope, names: Sequence[str], name: str) -> Place | None:
    own = _own(scope, names)
    return (_positional(scope, own.index(name)) if name in own else None) or _spelled(scope, name)


def _own(scope: Scope, names: Sequence[str]) -> Sequence[str]:
    """The parameters that a caller writes: without `self`, but of a function that is called through its class."""
    call, caller = scope.call, scope.caller
    is_method = bool(names) and names[0] in ("self", "cls")
    if not is_method or call is None or caller is None:
        return names
    holder = value_of(call.func.value, caller) if isinstance(call.func, ast.Attribute) else None
    return (
        names if isinstance(holder, type) and names[0] == "self" and not isinstance(call.func, ast.Name) else names[1:]
    )


def _positional(scope: Scope, index: int) -> Place | None:
    if scope.call is None or scope.caller is None:
        return None
    given = scope.call.args
    starred = next((place for place, each in enumerate(given) if isinstance(each, ast.Starred)), len(given))
    if index < starred:
        return Place(given[index], scope.caller)
    last = given[starred] if starred == len(given) - 1 else None
    if not isinstance(last, ast.Starred):
        return None
    unpacked, place = value_of(last.value, scope.caller), index - starred
    is_there = place < len(unpacked) if isinstance(unpacked, tuple | list) else not scope.call.keywords
    return Place(last.value, scope.caller, (place,)) if is_there else None


def _spelled(scope: Scope, name: str) -> Place | None:
    """A keyword argument, or the element of a mapping that was unpacked."""
    if scope.call is None or scope.caller is None:
        return None
    words = scope.call.keywords
    named = next((word.value for word in words if word.arg == name), None)
    if named is not None:
        return Place(named, scope.caller)
    unpacked = [word.value for word in words if word.arg is None and _may_hold_key(word.value, scope.caller, name)]
    return Place(unpacked[0], scope.caller, (name,)) if len(unpacked) == 1 else None


def _may_hold_key(node: ast.expr, scope: Scope, name: str) -> bool:
    known = value_of(node, scope)
    return name in known if isinstance(known, dict) else known is UNKNOWN


def _of_rest(scope: Scope, names: Sequence[str], path: Path) -> Place | None:
    """An element of `*args`."""
    first = path[0]
    given = _positional(scope, len(_own(scope, names)) + first) if isinstance(first, int) else None
    return given and Place(given.node, given.scope, given.path + path[1:])


def _default(scope: Scope, arguments: ast.arguments, names: Sequence[str], name: str) -> Place | None:
    found = dict(_defaults(arguments, names)).get(name)
    return Place(found, scope) if found is not None else None


def _defaults(arguments: ast.arguments, names: Sequence[str]) -> Iterator[tuple[str, ast.expr | None]]:
    if arguments.defaults:
        yield from zip(names[-len(arguments.defaults) :], arguments.defaults, strict=True)
    yield from zip((argument.arg for argument in arguments.kwonlyargs), arguments.kw_defaults, strict=True)
