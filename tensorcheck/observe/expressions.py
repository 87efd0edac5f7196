"""What an expression calls and what it gives to it: a function, a method, an operator, an index."""

import ast
from collections.abc import Iterator, Mapping

from tensorcheck.observe.evaluating import Namespace, known_value

OPERATORS: Mapping[type[ast.operator | ast.cmpop | ast.unaryop], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.USub: "neg",
    ast.Invert: "invert",
    ast.Not: "not",
}
"""Operators by their names in the module `operator`."""


def parts_of(node: ast.AST | None, names: Namespace) -> Iterator[tuple[str, ast.expr]]:  # noqa: C901 - one case a kind
    """What an expression works on, each part by the name of the parameter or its position."""
    match node:
        case ast.Call():
            if isinstance(node.func, ast.Attribute) and not _is_namespace(node.func.value, names):
                yield "self", node.func.value
            yield from ((str(index), argument) for index, argument in enumerate(node.args))
            for word in node.keywords:
                yield from [(word.arg, word.value)] if word.arg else _unpacked(word.value, names)
        case ast.BinOp():
            yield from (("0", node.left), ("1", node.right))
        case ast.AugAssign():
            yield from (("0", node.target), ("1", node.value))
        case ast.Compare():
            yield from ((str(index), part) for index, part in enumerate([node.left, *node.comparators]))
        case ast.UnaryOp():
            yield "0", node.operand
        case ast.Subscript():
            yield from (("self", node.value), ("index", node.slice))
        case ast.BoolOp():
            yield from ((str(index), part) for index, part in enumerate(node.values))
        case ast.Attribute():
            yield "self", node.value
        case ast.Name():
            yield "0", node


def _unpacked(node: ast.expr, names: Namespace) -> Iterator[tuple[str, ast.expr]]:
    """The elements of a dict that a call unpacks: `options["shuffle"]` of `**options`."""
    known = known_value(node, names)
    for key in known if isinstance(known, dict) else ():
        if isinstance(key, str):
            element = ast.Subscript(value=node, slice=ast.Constant(key), ctx=ast.Load())
            yield key, ast.fix_missing_locations(ast.copy_location(element, node))


def _is_namespace(node: ast.expr, names: Namespace) -> bool:
    """Whether a name stands for a Python module or a class, so that what is called is a function of it."""
    value = known_value(node, names)
    return isinstance(value, type(ast) | type)


def function_of(node: ast.AST, names: Namespace) -> str:  # noqa: PLR0911 - as above
    """The name of what an expression calls, or of its operator in the module `operator`."""
    match node:
        case ast.Call():
            value = known_value(node.func, names)
            written = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            return str(getattr(value, "__name__", written))
        case ast.BinOp() | ast.AugAssign():
            return OPERATORS[type(node.op)]
        case ast.UnaryOp():
            return OPERATORS.get(type(node.op), "pos")
        case ast.Compare():
            return OPERATORS.get(type(node.ops[0]), "in")
        case ast.Subscript():
            return "getitem" if isinstance(node.ctx, ast.Load) else "setitem"
        case ast.Attribute():
            return node.attr
        case _:
            return ""
