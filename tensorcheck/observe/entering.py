"""Scopes of the functions that were running when it crashed, and of those that ran before."""

import ast
import builtins
import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from types import FunctionType

from tensorcheck.observe.arguments import parameter_of, parameters
from tensorcheck.observe.evaluating import UNKNOWN, namespace_of
from tensorcheck.observe.frames import Owner, expression_at, owner_of, position_of
from tensorcheck.observe.lookups import element_of, value_of
from tensorcheck.observe.scopes import Place, Scope, definition_of
from tensorcheck.observe.stack import StackFrame


def scopes_of(frames: Sequence[StackFrame]) -> list[Scope]:
    """The user's frames as scopes, outermost first, each called by the one before it."""
    scopes: list[Scope] = []
    for frame in frames:
        if frame.owner is Owner.USER:
            scopes += _live(frame, scopes[-1] if scopes else None)
    return scopes


def _live(frame: StackFrame, outer: Scope | None) -> Iterator[Scope]:
    code = frame.frame.f_code
    standing = expression_at(code, frame.instruction)
    call = outer.standing if outer is not None and isinstance(outer.standing, ast.Call) else None
    names = namespace_of(frame.frame)
    line, _, column, _ = position_of(code, frame.instruction)
    stands_at = (line or code.co_firstlineno, column or 0)
    if code.co_name.startswith("<") and code.co_name not in ("<module>", "<lambda>") and outer is not None:
        # A comprehension: in this Python it has a frame of its own, but its names are looked up around it.
        yield Scope(
            outer.filename,
            outer.function,
            outer.body,
            {**outer.names, **names},
            stands_at,
            outer.call,
            outer.caller,
            standing,
        )
        return
    body = definition_of(code)
    if body is not None:
        yield Scope(code.co_filename, code.co_qualname, body, names, stands_at, call, outer, standing)


def scope_of(function: FunctionType, owner: object = None, call: Place | None = None) -> Scope | None:
    """A function of the user's as it would run; `owner` is its `self`, an object or, where none is known, its class."""
    code = function.__code__
    body = definition_of(code)
    if body is None or owner_of(code.co_filename) not in (Owner.USER, Owner.INSTALLED):
        return None
    names = {**vars(builtins), **function.__globals__, **_free_names(function)}
    if owner is not None and code.co_argcount:
        names[code.co_varnames[0]] = owner
    spelled = call.node if call is not None and isinstance(call.node, ast.Call) else None
    caller = call.scope if call is not None else None
    ran = caller.ran if caller is not None else frozenset()
    scope = Scope(code.co_filename, code.co_qualname, body, names, call=spelled, caller=caller, ran=ran)
    return _with_arguments(scope, code.co_varnames[:1] if owner is not None else ())


def _with_arguments(scope: Scope, kept: Collection[str]) -> Scope:
    """The scope of a function that ran before, with what its caller gave it where that is still known."""
    names = dict(scope.names)
    for name in parameters(scope):
        given = parameter_of(scope, name)
        is_given = given is not None and scope.caller is not None
        value = element_of(value_of(given.node, given.scope), given.path) if given and is_given else UNKNOWN
        if value is not UNKNOWN:
            names[name] = value
        elif name not in kept:  # a global of the same name is another thing
            names.pop(name, None)
    return replace(scope, names=names)


def _free_names(function: FunctionType) -> dict[str, object]:
    try:
        return dict(inspect.getclosurevars(function).nonlocals)
    except (TypeError, ValueError):
        return {}
