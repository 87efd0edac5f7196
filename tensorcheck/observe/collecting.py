"""What collects the value of an expression: a list that it is appended to, a dictionary under a key that changes."""

import ast
from collections.abc import Iterator
from types import FrameType

from tensorcheck.observe.frames import Owner, expression_at, owner_of
from tensorcheck.observe.scopes import called_name, definition_of, within

_ADDING = frozenset({"append", "appendleft", "add", "insert", "extend", "setdefault"})


def container_of(frame: FrameType) -> str:
    """What collects the value of the call that this frame stands at, as the code spells it; empty where nothing does.

    A function that only returns it is passed, and so is a name that it is given on its way.
    """
    node, body = expression_at(frame.f_code, frame.f_lasti), definition_of(frame.f_code)
    if node is None or body is None:
        return ""
    for statement in within(body):
        if isinstance(statement, ast.Return) and _holds(statement.value, node):
            return container_of(frame.f_back) if frame.f_back is not None and _is_users(frame.f_back) else ""
    values: list[ast.AST] = [node]
    names = {name for each in within(body) for name in _given_names(each, node)}
    values += [each for each in within(body) if isinstance(each, ast.Name) and each.id in names]
    return next((found for each in within(body) for found in _collecting(each, values)), "")


def _is_users(frame: FrameType) -> bool:
    return owner_of(frame.f_code.co_filename) is Owner.USER


def _given_names(statement: ast.AST, node: ast.AST) -> Iterator[str]:
    """The plain names that the value goes by, by itself or within a dictionary, a tuple or a copy of these."""
    if isinstance(statement, ast.Assign) and _holds(statement.value, node):
        yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


def _collecting(node: ast.AST, values: list[ast.AST]) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Attribute(value=owner), args=args) if called_name(node) in _ADDING:
            if any(_holds(given, value) for given in args for value in values):
                yield ast.unparse(owner)
        case ast.Assign(targets=[ast.Subscript(value=owner, slice=key)], value=given):
            if not isinstance(key, ast.Constant) and any(_holds(given, value) for value in values):
                yield ast.unparse(owner)


def _holds(given: ast.expr | None, value: ast.AST) -> bool:
    """Whether an expression is this value, or a display or `dict` of it."""
    match given:
        case ast.Dict(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
            return any(_holds(part, value) for part in parts)
        case ast.Call(func=ast.Name(id="dict"), args=args, keywords=words) if given is not value:
            return any(_holds(part, value) for part in (*args, *(word.value for word in words)))
        case _:
            return given is value
