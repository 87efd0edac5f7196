"""The statement of the user's that gave a layer's weight or bias its first values, as far as the source shows."""

import ast
from collections.abc import Iterator

from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.sites import Site

_WRITING = frozenset(
    {
        *("constant_", "fill_", "copy_", "sub_", "add_", "mul_", "uniform_", "normal_", "trunc_normal_", "ones_"),
        *("zeros_", "zero_"),
    }
)


def initialisation(file: str, path: str, parameter: str) -> Site | None:
    """Where a file writes `self.path.parameter`; or the one place where it writes this parameter of any layer.

    >>> initialisation("", "hidden", "bias") is None
    True
    """
    tree = tree_of(file) if file else None
    if tree is None:
        return None
    found = list(_writes(tree, parameter))
    own = [node for node in found if f"{path.rpartition('.')[2]}.{parameter}" in ast.unparse(node)] if path else []
    node = own[-1] if own else (found[0] if len(found) == 1 else None)
    return site_of_node(node, file, _function_around(tree, node)) if node is not None else None


def _writes(tree: ast.Module, parameter: str) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr=attr) | ast.Name(id=attr))) if attr in _WRITING:
                if _mentions(node, parameter):
                    yield node
            case ast.Assign(targets=[target]) | ast.AugAssign(target=target) if _mentions(target, parameter):
                yield node


def _mentions(node: ast.AST, parameter: str) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == parameter for part in ast.walk(node))


def _function_around(tree: ast.Module, wanted: ast.stmt) -> str:
    names = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any(part is wanted for part in ast.walk(node))
    ]
    return names[-1] if names else ""
