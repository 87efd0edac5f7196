"""Bodies of code whose names can be looked up, and places in them.

A live scope is a frame's, so the values of its names are at hand; of another only its source and its globals are.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType

from tensorcheck.observe.evaluating import Namespace
from tensorcheck.observe.frames import tree_of

Body = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Module
Selector = int | str | None
"""An element of a structure: its index, its key, or None for whichever comes."""
Path = tuple[Selector, ...]
Position = tuple[int, int]
END: Position = (10**9, 0)
"""Below everything."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_NESTED = (*_FUNCTIONS, ast.Lambda, ast.ClassDef)


Conditions = tuple[tuple[ast.expr, bool], ...]
"""The tests of the `if`s around a place, and whether each had to hold."""


@dataclass(frozen=True, eq=False, slots=True)
class Scope:
    """A function or module, how it was called, and what its names stand for."""

    filename: str
    function: str
    """Its qualified name."""
    body: Body
    names: Namespace
    stands_at: Position | None = None
    """Of a live scope, where it stopped."""
    call: ast.Call | None = None
    """The expression that called it, in the scope `caller`."""
    caller: "Scope | None" = None
    standing: ast.AST | None = None
    """Of a live scope, the expression that it stopped in."""
    turn: int | None = None
    """Of a loop that calls one thing after the other, which of them it is at: `for step in self.steps`."""
    ran: frozenset[tuple[str, int]] = frozenset()
    """The lines that ran when what is looked for was made, by file and number; none where that is not known."""


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """An expression in a scope, or the element of its value that `path` leads to."""

    node: ast.expr
    scope: Scope
    path: Path = field(default=())
    statement: ast.stmt | None = None
    """The statement that gives it its name, if it is the whole of what that statement gives."""

    @property
    def called(self) -> str:
        """The name of the function or class that it calls."""
        return called_name(self.node)


def called_name(node: ast.expr) -> str:
    """The last part of the name of what an expression calls; empty where it calls nothing that has one."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
        case _:
            return ""


def module_scope(scope: Scope) -> Scope | None:
    """The module that a scope lies in."""
    tree = tree_of(scope.filename)
    if tree is None or isinstance(scope.body, ast.Module):
        return None
    return Scope(scope.filename, "", tree, scope.names)


def definition_of(code: CodeType) -> Body | None:
    """The syntax tree that a code object was compiled from."""
    tree = tree_of(code.co_filename)
    if tree is None or code.co_name == "<module>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>" and node.lineno == code.co_firstlineno:
            return node
        if isinstance(node, _FUNCTIONS) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


def within(body: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a body, without those of the functions and classes inside it."""
    return (node for node, _ in with_conditions(body))


def with_conditions(node: ast.AST, conditions: Conditions = ()) -> Iterator[tuple[ast.AST, Conditions]]:
    """Each node with the tests of the `if`s around it."""
    for name, children in ast.iter_fields(node):
        inner = conditions
        if isinstance(node, ast.If) and name in ("body", "orelse"):
            inner = (*conditions, (node.test, name == "body"))
        for child in children if isinstance(children, list) else [children]:
            if isinstance(child, ast.AST):
                yield child, inner
                if not isinstance(child, _NESTED):
                    yield from with_conditions(child, inner)
