"""Names that one round of a loop hands on to the next: read before the round gives them a new value."""

import ast
from collections.abc import Iterator, Sequence

from torch import Tensor

from tensorcheck.differentiation import Held
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.scopes import Position, Scope, within

Loop = ast.For | ast.AsyncFor | ast.While


def carried_names(scopes: Sequence[Scope]) -> Iterator[tuple[Held, Tensor]]:
    """What the loops that are running carry, with the tensors that it is now; the innermost loop's first."""
    for scope in reversed(scopes):
        for loop in running_loops(scope):
            for name, given in _carried_by(loop):
                site = site_of_node(given, scope.filename, scope.function)
                value = scope.names.get(name)
                yield from ((Held(path, site), tensor) for path, tensor in leaves(value, name, 2))


def running_loops(scope: Scope) -> list[Loop]:
    """The loops around the place where a scope stands, the innermost first."""
    at = scope.stands_at
    loops = [node for node in within(scope.body) if isinstance(node, Loop)]
    return [loop for loop in loops if at is not None and _start(loop) <= at <= _end(loop)][::-1]


def _carried_by(loop: Loop) -> Iterator[tuple[str, ast.stmt]]:
    """The names whose first use in the loop's body comes before their first assignment, with their last assignment."""
    given: dict[str, list[ast.stmt]] = {}
    read: dict[str, Position] = {}
    for node in _in_order(loop):
        if isinstance(node, ast.stmt):
            for name in _assigned(node):
                given.setdefault(name, []).append(node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.setdefault(node.id, _start(node))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            read.setdefault(node.target.id, _start(node))
    for name, statements in given.items():
        if name in read and read[name] <= _end(statements[0]):
            yield name, statements[-1]


def _in_order(loop: Loop) -> list[ast.AST]:
    nodes = [node for statement in loop.body for node in [statement, *within(statement)]]
    return sorted((node for node in nodes if hasattr(node, "lineno")), key=_start)


def _assigned(node: ast.stmt) -> list[str]:
    match node:
        case ast.Assign():
            targets = node.targets
        case ast.AugAssign() | ast.AnnAssign():
            targets = [node.target]
        case _:
            return []
    parts = [part for target in targets for part in ast.walk(target)]
    return [part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _start(node: ast.AST) -> Position:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _end(node: ast.AST) -> Position:
    return getattr(node, "end_lineno", 0) or 0, getattr(node, "end_col_offset", 0) or 0
