"""Whether an expression in a running function has run by now, as its place in the source tells."""

import ast
from collections.abc import Sequence

from tensorcheck.observe.scopes import Position, Scope, within


def has_run(node: ast.expr, scope: Scope) -> bool:
    """Whether it must have run: above the place where the scope stands, and in no branch or loop that may be skipped.

    Of a function that has returned, all that stands in no branch, unless it may have returned before.
    """
    if isinstance(scope.body, ast.Lambda):
        return False
    standing = scope.standing
    if standing is not None and node is not standing and any(part is node for part in ast.walk(standing)):
        return True
    at = scope.stands_at
    if at is None:
        leaving = (each.lineno for each in within(scope.body) if isinstance(each, ast.Return | ast.Raise))
        return all(line >= node.lineno for line in leaving) and _is_straight(scope.body.body, node, None)
    return _end(node) <= at and _is_straight(scope.body.body, node, at)


def may_have_run(node: ast.expr, scope: Scope) -> bool:
    """Whether it stands above the place where the scope stands, or in a loop around both."""
    at = scope.stands_at
    if at is None or _end(node) <= at or has_run(node, scope):
        return True
    loops = (each for each in within(scope.body) if isinstance(each, ast.For | ast.AsyncFor | ast.While))
    return any(_spans([loop], at) and _holds(loop, node) for loop in loops)


def _is_straight(block: Sequence[ast.stmt], node: ast.expr, at: Position | None) -> bool:
    """Whether each branch or loop around a node is one that the place `at` lies in too."""
    statement = next((each for each in block if _holds(each, node)), None)
    if statement is None:
        return False
    inner = next((each for each in _blocks(statement) if any(_holds(part, node) for part in each)), None)
    if inner is None:
        return not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    is_certain = isinstance(statement, ast.With | ast.AsyncWith) or (at is not None and _spans(inner, at))
    return is_certain and _is_straight(inner, node, at)


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    fields = [getattr(statement, name, None) for name in ("body", "orelse", "finalbody")]
    handled = [handler.body for handler in getattr(statement, "handlers", [])]
    cases = [case.body for case in getattr(statement, "cases", [])]
    return [block for block in (*fields, *handled, *cases) if isinstance(block, list)]


def _holds(statement: ast.stmt, node: ast.expr) -> bool:
    return any(part is node for part in ast.walk(statement))


def _spans(block: Sequence[ast.stmt], at: Position) -> bool:
    return bool(block) and (block[0].lineno, block[0].col_offset) <= at <= _end(block[-1])


def _end(node: ast.expr | ast.stmt) -> Position:
    return node.end_lineno or node.lineno, node.end_col_offset or 0
