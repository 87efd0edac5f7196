"""Where a model's source makes its layers."""

import ast
import inspect
from collections.abc import Iterator
from types import FunctionType

import executing
from torch import nn

from tensorcheck.observe.frames import Owner, owner_of, site_of_node
from tensorcheck.sites import Site


def definition_site(model: nn.Module, path: str) -> Site | None:
    """The code that made the module at this dotted path: `self.head = nn.Linear(784, 10)`.

    Of a layer inside an `nn.Sequential` or a list it is that layer's own argument; where the source does not show which
    (a loop, a comprehension, `*layers`), the statement that made the whole. None where there is no source.
    """
    parts = path.split(".")
    for depth in range(len(parts), 0, -1):
        owner = model.get_submodule(".".join(parts[: depth - 1]))
        for function in _functions(type(owner)):
            for statement in _assignments(function, parts[depth - 1]):
                node = _descend(statement, parts[depth:])
                return site_of_node(node, function.__code__.co_filename, function.__code__.co_qualname)
    return None


def returned_site(cls: type, method: str) -> Site | None:
    """The expression that a method of the user's returns, where there is just one `return`."""
    for function in _functions(cls):
        if function.__name__ == method:
            definition = _definition(function)
            nodes = ast.walk(definition) if definition is not None else ()
            values = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
            code = function.__code__
            return site_of_node(values[0], code.co_filename, code.co_qualname) if len(values) == 1 else None
    return None


def _functions(cls: type) -> Iterator[FunctionType]:
    """The class's own functions that the user can read, the constructor first."""
    for base in cls.__mro__:
        members = [inspect.unwrap(member) for member in vars(base).values() if callable(member)]
        functions = [member for member in members if isinstance(member, FunctionType)]
        for function in sorted(functions, key=lambda function: function.__name__ != "__init__"):
            if owner_of(function.__code__.co_filename) in (Owner.USER, Owner.INSTALLED):
                yield function


def _assignments(function: FunctionType, attribute: str) -> Iterator[ast.Assign | ast.AnnAssign]:
    definition = _definition(function)
    for node in ast.walk(definition) if definition is not None else ():
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(
            _is_self(target, attribute) for target in _targets(node)
        ):
            yield node


def _definition(function: FunctionType) -> ast.FunctionDef | None:
    tree = executing.Source.for_filename(function.__code__.co_filename).tree
    for node in ast.walk(tree or ast.Module([], [])):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == function.__code__.co_firstlineno and node.name == function.__name__:
                return node
    return None


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _is_self(target: ast.expr, attribute: str) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and target.attr == attribute
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


def _descend(statement: ast.Assign | ast.AnnAssign, indices: list[str]) -> ast.expr | ast.stmt:
    """From `self.net = nn.Sequential(a, b)` and `["1"]` to `b`, as far as the source shows it."""
    node: ast.expr | ast.stmt = statement
    value = statement.value
    for index in indices:
        if not isinstance(value, ast.Call) or not index.isdecimal():
            break
        single = value.args[0] if len(value.args) == 1 else None
        children = single.elts if isinstance(single, ast.List | ast.Tuple) else value.args
        if any(isinstance(child, ast.Starred) for child in children) or int(index) >= len(children):
            break
        node = value = children[int(index)]
    return node
