"""The body of the user's function that an expression calls."""

import ast
import functools
import inspect
from dataclasses import replace
from types import FunctionType

from torch import nn

from tensorcheck.observe.branches import binding_of
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.evaluating import UNKNOWN
from tensorcheck.observe.frames import Owner, owner_of
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.scopes import Place, Scope


def called_scope(place: Place) -> Scope | None:
    """The body of the user's function that an expression calls."""
    node = place.node
    return scope_within(value_of(node.func, place.scope), node, place.scope) if isinstance(node, ast.Call) else None


def scope_of_called(called: object, node: ast.Call, scope: Scope) -> Scope | None:
    """The same, of what is called there; where a loop calls one thing after the other, of the one whose turn it is."""
    in_turn = _in_turn(node.func, scope) if called is UNKNOWN else []
    if not in_turn:
        return scope_within(called, node, scope)
    turn = len(in_turn) - 1 if scope.turn is None else scope.turn
    return scope_within(in_turn[turn], node, replace(scope, turn=turn)) if turn < len(in_turn) else None


def _in_turn(node: ast.expr, scope: Scope) -> list[object]:
    """What a loop's variable stands for, one after the other: `step` in `for step in self.steps`."""
    binding = binding_of(scope, node.id, (node.lineno, node.col_offset)) if isinstance(node, ast.Name) else None
    held = value_of(binding.value, scope) if binding is not None and binding.is_loop and len(binding.path) == 1 else ()
    if isinstance(held, nn.ModuleList | nn.Sequential):
        return list(vars(held)["_modules"].values())
    return list(held) if type(held) in (list, tuple) else []  # type: ignore[call-overload]  # its type was looked at


def scope_within(called: object, node: ast.Call, scope: Scope) -> Scope | None:
    """The same, of what is called there: a function, a method, a module or anything else with a `__call__`."""
    if isinstance(called, nn.Module):
        forward = getattr(type(called), "forward", None)
        return scope_of(inspect.unwrap(forward), called, Place(node, scope)) if callable(forward) else None
    if called is UNKNOWN and isinstance(node.func, ast.Call):
        return _of_new(node, node.func, scope)
    if isinstance(called, functools.partial):
        return _of_partial(called, node, scope)
    function = inspect.unwrap(called) if callable(called) and not isinstance(called, type) else called
    if isinstance(function, FunctionType):
        return _of_function(function, node, scope)
    method = inspect.unwrap(vars(type(called)).get("__call__", int)) if called is not UNKNOWN else None
    return (
        scope_of(method, called, Place(node, scope)) if isinstance(method, FunctionType) and _is_users(method) else None
    )


def _of_function(function: FunctionType, node: ast.Call, scope: Scope) -> Scope | None:
    if not _is_users(function):
        return None
    owner = value_of(node.func.value, scope) if isinstance(node.func, ast.Attribute) else None
    return scope_of(function, owner if _takes_self(function) and owner is not UNKNOWN else None, Place(node, scope))


def _of_partial(called: "functools.partial[object]", node: ast.Call, scope: Scope) -> Scope | None:
    """Of a partial function; its caller's positional arguments come after those that it holds."""
    function = inspect.unwrap(called.func)
    if not isinstance(function, FunctionType) or not _is_users(function):
        return None
    return scope_of(function, None, None if called.args else Place(node, scope))


def _of_new(node: ast.Call, made: ast.Call, scope: Scope) -> Scope | None:
    """The `forward` of a model that is made and called at once: `Net()(x)`."""
    cls = value_of(made.func, scope)
    if not isinstance(cls, type) or not issubclass(cls, nn.Module):
        return None
    return scope_of(inspect.unwrap(cls.forward), cls, Place(node, scope))


def _is_users(function: FunctionType) -> bool:
    return owner_of(function.__code__.co_filename) is Owner.USER


def _takes_self(function: FunctionType) -> bool:
    return function.__code__.co_varnames[:1] in (("self",), ("cls",))
