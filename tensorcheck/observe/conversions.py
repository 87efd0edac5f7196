"""Where the source changes a module's dtype or device in place: `net.half()`, or a loop over its parameters.

Such a method changes the module that it is called on and returns it, so that what it is given to by name is the same.
"""

import ast
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import cast

import torch
from torch import nn

from tensorcheck.calls import Cause, Quality
from tensorcheck.observe.branches import binding_of
from tensorcheck.observe.callees import called_scope
from tensorcheck.observe.describe import is_a
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.evaluating import UNKNOWN, known_value
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.having_run import has_run, may_have_run
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.scopes import Body, Place, Scope, called_name, module_scope, within

_DTYPES = {"half": "float16", "bfloat16": "bfloat16", "float": "float32", "double": "float64"}
_DEVICES = ("cuda", "cpu", "xpu")
_ASKED = ("to", "to_empty", "type")
_CONVERTING = frozenset({*_DTYPES, *_DEVICES, *_ASKED})
_RETURNING_ITSELF = _CONVERTING | {"train", "eval", "requires_grad_", "apply"}
_OF_PARAMETERS = ("parameters", "buffers", "named_parameters", "named_buffers")
_MOST_CALLS = 200
"""Conversions that are looked at in a file; a program of more is not searched to its end."""


@dataclass(frozen=True, eq=False, slots=True)
class _Candidate:
    """A call that may convert a module, in a body that may have run."""

    call: ast.Call
    scope: Scope
    statement: ast.stmt | None
    is_sure: bool


def conversions(scopes: Sequence[Scope], layer: nn.Module) -> Iterator[Cause]:
    """The conversions in the running files of a layer, or of a module that it is part of, the last in each first."""
    called = [ast.unparse(scope.standing.func) for scope in scopes if isinstance(scope.standing, ast.Call)]
    for candidate in _candidates(scopes):
        receiver = _receiver(candidate.call, candidate.scope)
        module = _converted(candidate, receiver)
        if not is_a(module, nn.Module) or not any(part is layer for part in cast("nn.Module", module).modules()):
            continue
        for quality, value in _effects(candidate.call, candidate.scope):
            yield Cause(
                "conversion",
                quality,
                ast.unparse(receiver),
                value,
                site_of_node(candidate.call, candidate.scope.filename, candidate.scope.function),
                is_likely=not candidate.is_sure,
                is_copy_meant=_is_copy_meant(candidate, receiver, called),
            )


def _candidates(scopes: Sequence[Scope]) -> Iterator[_Candidate]:
    for filename in dict.fromkeys(scope.filename for scope in reversed(scopes)):
        tree = tree_of(filename)
        ran: dict[Body, tuple[Scope, bool] | None] = {}
        for body, call in reversed(list(_calls_in(tree))[-_MOST_CALLS:] if tree is not None else []):
            if body not in ran:
                ran[body] = next(_standing_for(body, filename, scopes), None)
            scope, is_sure = ran[body] or (None, False)
            if scope is not None and may_have_run(call, scope):
                yield _Candidate(call, scope, _statement_of(call, body), is_sure and has_run(call, scope))


def _calls_in(tree: ast.Module) -> Iterator[tuple[Body, ast.Call]]:
    bodies = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))]
    for body in sorted(bodies, key=lambda body: getattr(body, "lineno", 0)):
        for node in within(body):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CONVERTING:
                yield body, node


def _standing_for(body: Body, filename: str, scopes: Sequence[Scope]) -> Iterator[tuple[Scope, bool]]:
    """The scope that a body runs in, or ran in, and whether it is known to have run at all."""
    live = [scope for scope in reversed(scopes) if scope.body is body]
    yield from ((scope, True) for scope in live)
    if isinstance(body, ast.Module):
        outer = next((module_scope(scope) for scope in scopes if scope.filename == filename), None)
        if outer is not None:
            yield outer, False
    elif isinstance(body, ast.FunctionDef | ast.AsyncFunctionDef):
        called = list(_called(body, scopes))
        yield from ((inner, has_run(*place)) for inner, place in called if may_have_run(*place))
        yield from ((scope, False) for scope in _of_objects(body, filename, scopes) if not called)


def _called(
    body: ast.FunctionDef | ast.AsyncFunctionDef, scopes: Sequence[Scope]
) -> Iterator[tuple[Scope, tuple[ast.Call, Scope]]]:
    """As a running function calls it, and the call."""
    for scope in reversed(scopes):
        for node in within(scope.body):
            if isinstance(node, ast.Call) and called_name(node) == body.name:
                inner = called_scope(Place(node, scope))
                if inner is not None and inner.body is body:
                    yield inner, (node, scope)


def _of_objects(
    body: ast.FunctionDef | ast.AsyncFunctionDef, filename: str, scopes: Sequence[Scope]
) -> Iterator[Scope]:
    """As a method of an object that a running function is a method of."""
    for owner in (scope.names["self"] for scope in reversed(scopes) if "self" in scope.names):
        member = next((vars(base)[body.name] for base in type(owner).__mro__ if body.name in vars(base)), None)
        function = inspect.unwrap(member) if callable(member) else None
        if isinstance(function, FunctionType) and function.__code__.co_filename == filename:
            scope = scope_of(function, owner)
            if scope is not None and scope.body is body:
                yield scope


def _statement_of(call: ast.Call, body: Body) -> ast.stmt | None:
    simple = (node for node in within(body) if isinstance(node, ast.Assign | ast.Expr | ast.Return | ast.AnnAssign))
    return next((node for node in simple if any(part is call for part in ast.walk(node))), None)


def _receiver(call: ast.Call, scope: Scope) -> ast.expr:
    """The module that is converted: `net` of `net.eval().half()`, or of a loop over its parameters."""
    node = _unchained(call)
    if isinstance(node, ast.Attribute) and node.attr == "data":
        node = node.value
    if isinstance(node, ast.Name):
        bound = binding_of(scope, node.id, (node.lineno, node.col_offset))
        match bound.value if bound is not None and bound.is_loop else None:
            case ast.Call(func=ast.Attribute(value=owner, attr=asked)) if asked in _OF_PARAMETERS:
                return owner
    return node


def _unchained(node: ast.expr) -> ast.expr:
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr=method)) if method in _RETURNING_ITSELF:
            return _unchained(inner)
        case _:
            return node


def _converted(candidate: _Candidate, receiver: ast.expr) -> object:
    """The module itself; of one that is made on the spot or given its own name again, what has that name now."""
    value = value_of(receiver, candidate.scope)
    statement, scope = candidate.statement, candidate.scope
    if value is not UNKNOWN or not isinstance(statement, ast.Assign) or _unchained(statement.value) is not receiver:
        return value
    target = statement.targets[0]
    if isinstance(target, ast.Name) and scope.stands_at is not None:
        now = binding_of(scope, target.id, scope.stands_at)
        return known_value(target, scope.names) if now is not None and now.value is statement.value else UNKNOWN
    return value_of(target, scope) if isinstance(target, ast.Attribute) else UNKNOWN


def _effects(call: ast.Call, scope: Scope) -> Iterator[tuple[Quality, str]]:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in _DTYPES:
        yield "dtype", _DTYPES[method]
    elif method in _DEVICES:
        yield "device", method
    else:
        for node in [*call.args, *(word.value for word in call.keywords)]:
            yield from _effect(value_of(node, scope))


def _effect(asked: object) -> Iterator[tuple[Quality, str]]:
    if is_a(asked, torch.dtype):
        yield "dtype", str(asked).removeprefix("torch.")
    elif is_a(asked, torch.device, str):
        yield "device", str(asked)


def _is_copy_meant(candidate: _Candidate, receiver: ast.expr, called: Sequence[str]) -> bool:
    """Whether the result has a name of its own that is not what failed, or is asked for its state."""
    statement, name = candidate.statement, ast.unparse(receiver)
    if isinstance(receiver, ast.Call) or statement is None or _unchained(candidate.call) is not receiver:
        return False
    if isinstance(statement, ast.Assign) and _unchained(statement.value) is receiver:
        targets = [ast.unparse(target) for target in statement.targets]
        return name not in targets and not {*targets} & {*called}
    asked = (node for node in ast.walk(statement) if isinstance(node, ast.Attribute) and node.attr == "state_dict")
    return any(_unchained(node.value) is receiver for node in asked)
