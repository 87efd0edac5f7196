"""Statements that give a name its value."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.observe.scopes import Body, Conditions, Path, Position, with_conditions


@dataclass(frozen=True, slots=True)
class Binding:
    """A statement that gives a name its value: an expression, or the element of it that `path` leads to."""

    value: ast.expr
    path: Path
    holds_from: Position
    within: ast.AST | None = None
    """The only expression in which it holds, of a comprehension's variable."""
    is_loop: bool = False
    conditions: Conditions = ()
    """The tests of the `if`s around it, and whether each had to hold."""


def bindings(body: Body, name: str) -> Iterator[Binding]:
    """All of them in a body, whether they ran or not."""
    for node, conditions in with_conditions(body):
        for target, value, path, where, is_loop in _given(node):
            for found in _paths_to(target, name):
                ends = (value.end_lineno or value.lineno, value.end_col_offset or 0)
                yield Binding(value, path + found, ends, where, is_loop, conditions)


_Given = tuple[ast.expr, ast.expr, Path, ast.AST | None, bool]


def _given(node: ast.AST) -> Iterator[_Given]:
    """The targets of a statement, with the expression that each gets or gets an element of."""
    match node:
        case ast.Assign():
            yield from ((target, node.value, (), None, False) for target in node.targets)
        case ast.AnnAssign(value=ast.expr() as value):
            yield node.target, value, (), None, False
        case ast.NamedExpr():
            yield node.target, node.value, (), None, False
        case ast.AugAssign():
            yield node.target, as_expression(node), (), None, False
        case ast.For() | ast.AsyncFor():
            yield node.target, node.iter, (None,), None, True
        case ast.withitem(optional_vars=ast.expr() as target):
            yield target, node.context_expr, (), None, False
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            yield from ((each.target, each.iter, (None,), node, True) for each in node.generators)


@functools.lru_cache(maxsize=512)
def as_expression(node: ast.AugAssign) -> ast.expr:
    """`x += y` as the expression `x + y`; the same one each time, by which it is known again."""
    target = ast.parse(ast.unparse(node.target), mode="eval").body
    for part in ast.walk(target):
        ast.copy_location(part, node.target)
    return ast.copy_location(ast.BinOp(target, node.op, node.value), node)


def _paths_to(target: ast.expr, name: str) -> Iterator[Path]:
    if isinstance(target, ast.Name) and target.id == name:
        yield ()
    elif isinstance(target, ast.Starred):
        yield from _paths_to(target.value, name)
    elif isinstance(target, ast.Tuple | ast.List):
        for index, element in enumerate(target.elts):
            yield from ((index, *path) for path in _paths_to(element, name))
