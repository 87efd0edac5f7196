"""What an expression of a scope is worth, as far as its names still stand for what they did."""

import ast
from collections import ChainMap

from tensorcheck.observe.bindings import bindings
from tensorcheck.observe.branches import binding_of
from tensorcheck.observe.evaluating import UNKNOWN, Namespace, UnknownValueError, evaluate
from tensorcheck.observe.scopes import Path, Scope

_DEEPEST = 8
"""Names of a function that ran before that are looked up one through the other."""


def value_of(node: ast.expr, scope: Scope) -> object:
    """What an expression is worth, where its names still stand for what they did; `UNKNOWN` otherwise."""
    return _value_of(node, scope, _DEEPEST)


def _value_of(node: ast.expr, scope: Scope, depth: int) -> object:
    names = scope.names
    used = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    if scope.stands_at is not None:
        if not all(_same_binding(name, scope) for name in used):
            return UNKNOWN
    else:
        local = {name.id: _of_local(name, scope, depth) for name in used if _is_bound(name, scope)}
        if any(value is UNKNOWN for value in local.values()):
            return UNKNOWN
        names = ChainMap(local, dict(names)) if local else names
    return _evaluated(node, names)


def _evaluated(node: ast.expr, names: Namespace) -> object:
    try:
        return evaluate(node, names)
    except UnknownValueError:
        return UNKNOWN


def _same_binding(name: ast.Name, scope: Scope) -> bool:
    """Whether a name has the value now that it had there."""
    at = scope.stands_at
    then = binding_of(scope, name.id, (name.lineno, name.col_offset))
    now = binding_of(scope, name.id, at) if at is not None else None
    return then is None or now is None or then.value is now.value


def _is_bound(name: ast.Name, scope: Scope) -> bool:
    return binding_of(scope, name.id, (name.lineno, name.col_offset)) is not None


def _of_local(name: ast.Name, scope: Scope, depth: int) -> object:
    """What a name of a function that ran before was worth, if one statement alone gives it its value."""
    given = list(bindings(scope.body, name.id))
    if len(given) != 1 or given[0].is_loop or not depth or _is_within(name, given[0].value):
        return UNKNOWN
    if isinstance(scope.body, ast.Module):
        return scope.names.get(name.id, UNKNOWN)
    return element_of(_value_of(given[0].value, scope, depth - 1), given[0].path)


def _is_within(name: ast.Name, node: ast.expr) -> bool:
    return any(part is name for part in ast.walk(node))


def element_of(value: object, path: Path) -> object:
    """The element of a plain structure that a path leads to; `UNKNOWN` where that is not known."""
    for selector in path:
        if type(value) not in (tuple, list, dict) or selector is None:
            return UNKNOWN
        try:
            value = value[selector]  # type: ignore[index]  # the type was just looked at
        except LookupError:
            return UNKNOWN
    return value
