"""Which of a body's statements ran, as far as that is known: not those in a branch whose test went the other way."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tensorcheck.observe.bindings import Binding, bindings
from tensorcheck.observe.evaluating import UnknownValueError, evaluate
from tensorcheck.observe.scopes import Conditions, Position, Scope, with_conditions, within

_PLAIN = (bool, int, float, str, type(None))


def results(scope: Scope) -> Iterator[tuple[ast.expr, bool]]:
    """What a function may have returned or yielded, and whether it yields it."""
    if isinstance(scope.body, ast.Lambda):
        yield scope.body.body, False
        return
    for node, conditions in with_conditions(scope.body):
        if not isinstance(node, ast.Return | ast.Yield) or node.value is None:
            continue
        if may_hold(conditions, scope) and _may_have_run(node.value, scope):
            yield node.value, isinstance(node, ast.Yield)


def binding_of(scope: Scope, name: str, at: Position) -> Binding | None:
    """What last gave a name its value before this place; in a loop that may stand below it."""
    return next(iter(bindings_at(scope, name, at)), None)


def bindings_at(scope: Scope, name: str, at: Position) -> tuple[Binding, ...]:
    """The same and, in a loop, also what gave it its value in the round before, if that stands below this place."""
    held = (binding for binding in bindings(scope.body, name) if may_hold(binding.conditions, scope))
    found = [binding for binding in held if _may_have_run(binding.value, scope)]
    local = [binding for binding in found if binding.within is not None and _contains(binding.within, at)]
    if local:
        return (local[-1],)
    others = [binding for binding in found if binding.within is None]
    before = [binding for binding in others if binding.holds_from <= at][-1:]
    below = _in_round_before(scope, others, before, at)
    if before or _is_parameter(scope, name):
        return (*before, *below)
    return tuple(below or others[-1:])


def _in_round_before(
    scope: Scope, found: Sequence[Binding], before: Sequence[Binding], at: Position
) -> Sequence[Binding]:
    loops = [node for node in within(scope.body) if isinstance(node, _LOOPS) and _contains(node, at)]
    around = [loop for loop in loops if not any(_contains(loop, each.holds_from) for each in before)]
    later = [
        each for each in found if each.holds_from > at and any(_contains(loop, each.holds_from) for loop in around)
    ]
    return later[-1:]


_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def _is_parameter(scope: Scope, name: str) -> bool:
    if isinstance(scope.body, ast.Module):
        return False
    arguments = scope.body.args
    return any(each.arg == name for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])


def _contains(node: ast.AST, at: Position) -> bool:
    first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
    return (first, getattr(node, "col_offset", 0)) <= at <= (last, getattr(node, "end_col_offset", 0))


def _may_have_run(node: ast.expr, scope: Scope) -> bool:
    """Whether an expression's lines are among those that ran, of a function of which some did."""
    lines = {line for filename, line in scope.ran if filename == scope.filename}
    return not lines & _lines(scope.body) or bool(lines & _lines(node))


def _lines(node: ast.AST) -> set[int]:
    first = getattr(node, "lineno", 1)
    return set(range(first, (getattr(node, "end_lineno", None) or first) + 1)) if hasattr(node, "lineno") else set()


def may_hold(conditions: Conditions, scope: Scope) -> bool:
    """Whether no test is known to have gone the other way; names that change are left out."""
    return all(truth_of(test, scope) in (None, wanted) for test, wanted in conditions)


def truth_of(test: ast.expr, scope: Scope) -> bool | None:
    """How a test goes that asks for what is still as it was, as `self.transform is not None` does."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            inner = truth_of(test.operand, scope)
            return None if inner is None else not inner
        case ast.BoolOp():
            parts = [truth_of(part, scope) for part in test.values]
            ends = isinstance(test.op, ast.Or)
            return ends if ends in parts else None if None in parts else not ends
        case ast.Compare(left=asked, ops=[ast.Is() | ast.IsNot() as operator], comparators=[ast.Constant(value=None)]):
            held = _held(asked, scope)
            return None if held is _UNTOLD else (held is None) is isinstance(operator, ast.Is)
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _COMPARISONS:
            return _compared(operator, _plain(left, scope), _plain(right, scope))
        case ast.Attribute() | ast.Name():
            held = _held(test, scope)
            return bool(held) if isinstance(held, _PLAIN) else None
        case _:
            return None


_UNTOLD = object()
_COMPARISONS: Mapping[type[ast.cmpop], Any] = {
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
}


def _compared(operator: ast.cmpop, left: object, right: object) -> bool | None:
    if left is _UNTOLD or right is _UNTOLD:
        return None
    try:
        return bool(_COMPARISONS[type(operator)](left, right))
    except TypeError:
        return None


def _plain(node: ast.expr, scope: Scope) -> object:
    """A string or a number that a test compares; an object's own numbers are left out, which may count."""
    if isinstance(node, ast.Constant):
        return node.value
    held = _held(node, scope)
    is_count = isinstance(node, ast.Attribute) and not isinstance(held, str)
    return held if isinstance(held, _PLAIN) and not is_count else _UNTOLD


def _held(node: ast.expr, scope: Scope) -> object:
    """The value of a name or an attribute, of an object that no statement of this scope could have exchanged."""
    root = node
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name) or not _is_settled(root.id, scope):
        return _UNTOLD
    try:
        return evaluate(node, scope.names)
    except UnknownValueError:
        return _UNTOLD


def _is_settled(name: str, scope: Scope) -> bool:
    """Whether a name stands for the same thing throughout, and is still at hand."""
    given = list(bindings(scope.body, name))
    is_at_hand = scope.stands_at is not None or isinstance(scope.body, ast.Module)
    return not given or (len(given) == 1 and is_at_hand and _is_at_top(given[0], scope))


def _is_at_top(binding: Binding, scope: Scope) -> bool:
    """Whether a statement stands in no branch and no loop."""
    statements = scope.body.body if not isinstance(scope.body, ast.Lambda) else []
    return any(isinstance(each, ast.Assign | ast.AnnAssign) and each.value is binding.value for each in statements)
