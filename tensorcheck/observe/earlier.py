"""Functions that the running code has called above the place where it stands: those that called `backward` in there."""

import ast
from collections.abc import Collection, Iterator, Sequence
from types import FunctionType, MethodType

from torch import Tensor

from tensorcheck.differentiation import EarlierUse
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.scopes import Place, Scope, within


def earlier_uses(tensors: Collection[Tensor], scopes: Sequence[Scope]) -> Iterator[EarlierUse]:
    """The calls of `backward` in functions that were given one of the tensors, with what they made of it."""
    for scope in reversed(scopes):
        for call in within(scope.body):
            if isinstance(call, ast.Call) and _is_over(call, scope):
                yield from _in_call(call, tensors, scope)


def _is_over(call: ast.Call, scope: Scope) -> bool:
    """Whether it stands wholly before the place where the function stands now."""
    end = (call.end_lineno or 0, call.end_col_offset or 0)
    return scope.stands_at is not None and end <= scope.stands_at


def _in_call(call: ast.Call, tensors: Collection[Tensor], scope: Scope) -> Iterator[EarlierUse]:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not any(_is_one_of(value_of(each, scope), tensors) for each in given if isinstance(each, ast.Name)):
        return
    function = value_of(call.func, scope)
    owner = function.__self__ if isinstance(function, MethodType) else None
    plain = function.__func__ if isinstance(function, MethodType) else function
    inner = scope_of(plain, owner, Place(call, scope)) if isinstance(plain, FunctionType) else None
    if inner is not None:
        yield from _in_function(inner, tensors)


def _in_function(scope: Scope, tensors: Collection[Tensor]) -> Iterator[EarlierUse]:
    nodes = list(within(scope.body))
    calls = sorted((node for node in nodes if isinstance(node, ast.Call)), key=lambda node: node.lineno)
    backward = next(
        (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "backward"), None
    )
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for call in calls if backward is not None else ():
        for name in [each.id for each in call.args if isinstance(each, ast.Name)]:
            if name not in stored and _is_one_of(scope.names.get(name), tensors) and backward is not None:
                at = (scope.filename, scope.function)
                yield EarlierUse(name, site_of_node(call, *at), site_of_node(backward, *at))
                return


def _is_one_of(value: object, tensors: Collection[Tensor]) -> bool:
    return any(value is each for each in tensors)
