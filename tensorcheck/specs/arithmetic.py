"""Sizes that follow from others: the arithmetic of shape strings, read by Python's own parser and never run by it."""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

Number = int | Fraction

_OPERATORS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: lambda left, right: Fraction(left) / right,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
    }
)
_FUNCTIONS: Mapping[str, Callable[..., Number]] = MappingProxyType({"min": min, "max": max, "abs": abs})
_LONGEST = 200
"""Characters; a longer one is no size that anybody wrote by hand, and may nest too deep to be read."""


class NoArithmeticError(ValueError):
    """What can't be read as arithmetic of sizes; the message says why."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Arithmetic of names and whole numbers: `+`, `-`, `*`, `/`, `//`, `%`, brackets, `min`, `max` and `abs`.

    >>> expression = Expression.read("(h-1)/2")
    >>> expression.names, expression.value({"h": 9}), expression.value({"h": 8})
    (('h',), 4, Fraction(7, 2))
    """

    text: str
    _tree: ast.expr = field(compare=False, repr=False)

    @classmethod
    def read(cls, text: str) -> "Expression":
        """Read it; an `NoArithmeticError` says what is none.

        >>> Expression.read("h.size")
        Traceback (most recent call last):
        tensorcheck.specs.arithmetic.NoArithmeticError: 'h.size' is no arithmetic of names and whole numbers
        """
        tree = _parsed(text)
        if tree is None or not all(map(_is_readable, _nodes(tree))):
            msg = f"{text!r} is no arithmetic of names and whole numbers"
            raise NoArithmeticError(msg)
        return cls(text, tree)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it, each once, in their order."""
        found = (node.id for node in _nodes(self._tree) if isinstance(node, ast.Name))
        return tuple(dict.fromkeys(found))

    def value(self, sizes: Mapping[str, int]) -> Number:
        """The size, or a fraction where none divides evenly; a `KeyError` names what has no size yet.

        A division by zero raises a `ZeroDivisionError`.
        """
        return _value(self._tree, sizes)

    def __str__(self) -> str:
        return self.text


def _parsed(text: str) -> ast.expr | None:
    if len(text) > _LONGEST or "#" in text:  # Python would take the rest for a comment
        return None
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _nodes(tree: ast.expr) -> Iterator[ast.expr]:
    """The parts of an expression that stand for numbers."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        is_function = isinstance(tree, ast.Call) and child is tree.func
        if isinstance(child, ast.expr) and not is_function:
            yield from _nodes(child)


def _is_readable(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return type(value) is int
        case ast.Name():
            return True
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            return True
        case ast.BinOp(op=sign):
            return type(sign) in _OPERATORS
        case ast.Call(func=ast.Name(id=name), args=[_, *_], keywords=[]):
            return name in _FUNCTIONS
    return False


def _value(node: ast.expr, sizes: Mapping[str, int]) -> Number:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return sizes[name]
        case ast.UnaryOp(op=sign, operand=operand):
            value = _value(operand, sizes)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(left=left, op=sign, right=right):
            return _whole(_OPERATORS[type(sign)](_value(left, sizes), _value(right, sizes)))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name](*[_value(argument, sizes) for argument in args])
    raise TypeError(node)  # `read` let nothing else pass


def _whole(number: Number) -> Number:
    return number.numerator if isinstance(number, Fraction) and number.denominator == 1 else number
