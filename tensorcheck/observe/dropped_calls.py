"""Calls such as `rows.to(device)` whose result the source lets go of, by how it is written."""

import ast
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tensorcheck.events.placing import Dropped
from tensorcheck.observe.scopes import within

CONVERSIONS = frozenset(
    {"to", "cuda", "xpu", "float", "half", "double", "bfloat16", "long", "int", "short", "bool", "type", "type_as"}
)
"""Methods that give another tensor. `cpu()` is left out: as a statement it waits for a device, on purpose."""
_TRYING = re.compile(r"raises|suppress|profil|record|time|bench|measure", re.IGNORECASE)
"""Within these a call is made for what it costs, or for what it raises."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class DroppedCall(NamedTuple):
    """One such call."""

    node: ast.Call
    receiver: ast.expr
    """What is converted: a name, an attribute or an element."""
    how: Dropped


def key_of(node: ast.expr) -> tuple[int | None, int | None, int | None, int | None]:
    """Where an expression stands, as instructions know it."""
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


@functools.lru_cache(maxsize=16)
def dropped_calls(tree: ast.Module) -> Mapping[object, DroppedCall]:
    """Those of a file, by where they stand."""
    bodies = [tree, *(node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS))]
    return {key_of(found.node): found for body in bodies for found in dropped_in(body)}


def dropped_in(body: ast.AST) -> Iterator[DroppedCall]:
    """Those of a function or a module, without those of the functions inside it."""
    nodes = [body, *within(body)]
    for node in nodes:
        for statement in _plain_statements(node):
            yield from _of_statement(statement.value)
        if isinstance(node, ast.For):
            yield from _of_loop(node, nodes)


def _plain_statements(node: ast.AST) -> Iterator[ast.Expr]:
    """The expressions among a block's statements that are there for what they do; a notebook shows its last."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and not (name == "body" and _is_trying(node)):
            shown = block[:-1] if isinstance(node, ast.Module) else block
            yield from (statement for statement in shown if isinstance(statement, ast.Expr))


def _is_trying(node: ast.AST) -> bool:
    if isinstance(node, ast.With | ast.AsyncWith):
        return any(_TRYING.search(ast.unparse(item.context_expr)) for item in node.items)
    return isinstance(node, ast.Try) and bool(node.handlers)


def _of_statement(value: ast.expr) -> Iterator[DroppedCall]:
    match value:
        case ast.Call():
            yield from _conversion(value, "statement")
        case ast.Tuple(elts=elements):
            yield from (found for each in elements for found in _conversion(each, "statement"))
        case ast.ListComp(elt=each):
            yield from _conversion(each, "list")


def _of_loop(loop: ast.For, nodes: Sequence[ast.AST]) -> Iterator[DroppedCall]:
    """`for field in batch: field = field.to(device)`, after which nothing asks for the name."""
    match loop.body[-1]:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            given = {each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name)}
            found = next(_conversion(value, "name"), None)
            is_own = found is not None and isinstance(found.receiver, ast.Name) and found.receiver.id == name
            if found is not None and is_own and name in given and not _is_read_outside(name, loop, nodes):
                yield found


def _is_read_outside(name: str, loop: ast.For, nodes: Sequence[ast.AST]) -> bool:
    inside = {id(node) for node in ast.walk(loop)}
    if any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in nodes):
        return True
    everywhere = (inner for node in nodes if id(node) not in inside for inner in ast.walk(node))
    reads = (node for node in everywhere if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return any(node.id == name and id(node) not in inside for node in reads)


def _conversion(node: ast.expr, how: Dropped) -> Iterator[DroppedCall]:
    """The call, if it converts something that has a name: what has none is made to warm a device up."""
    if not isinstance(node, ast.Call):
        return
    receiver: ast.expr = node
    while isinstance(receiver, ast.Call) and _converts(receiver):
        receiver = receiver.func.value if isinstance(receiver.func, ast.Attribute) else receiver.func
    if receiver is not node and isinstance(receiver, ast.Name | ast.Attribute | ast.Subscript):
        yield DroppedCall(node, receiver, how)


def _converts(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in CONVERSIONS:
        return False
    needs_argument = call.func.attr in ("to", "type", "type_as")
    to_cpu = any(isinstance(each, ast.Constant) and each.value == "cpu" for each in call.args)
    return bool(call.args or call.keywords or not needs_argument) and not to_cpu
