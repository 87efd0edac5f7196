"""From the reading of a file back to its writing, where the same script wrote it."""

import ast
from collections.abc import Iterator

from tensorcheck.observe.evaluating import UNKNOWN
from tensorcheck.observe.frames import tree_of
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.scopes import Path, Place, Scope, within

_MODULES = ("torch", "np", "numpy")


def is_reading(node: ast.Call) -> bool:
    """Whether it is `torch.load(...)` or `np.load(...)`."""
    return _is_of(node, "load") and bool(node.args)


def saved_before(node: ast.Call, scope: Scope, path: Path) -> Iterator[Place]:
    """What the only statement of its file that saves such a file gave to it."""
    saves = [each for each in _saves(scope) if isinstance(each.node, ast.Call)]
    if len(saves) != 1 or not isinstance(saves[0].node, ast.Call):
        return
    given = dict(zip(_ORDER[_module(node)], saves[0].node.args, strict=False))
    ours, theirs = value_of(node.args[0], scope), value_of(given.get("file", node), saves[0].scope)
    is_another = UNKNOWN not in (ours, theirs) and ours != theirs
    if _module(node) == _module(saves[0].node) and "what" in given and not is_another:
        yield Place(given["what"], saves[0].scope, path)


_ORDER = {"torch": ("what", "file"), "np": ("file", "what"), "numpy": ("file", "what")}


def _saves(scope: Scope) -> Iterator[Place]:
    tree = tree_of(scope.filename) or ast.Module([], [])
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    for body in (tree, *functions):
        for node in within(body):
            if isinstance(node, ast.Call) and _is_of(node, "save"):
                yield Place(node, Scope(scope.filename, getattr(body, "name", ""), body, {}))


def _is_of(node: ast.Call, name: str) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == name and _module(node) in _MODULES


def _module(node: ast.Call) -> str:
    match node.func:
        case ast.Attribute(value=ast.Name(id=name)):
            return name
        case _:
            return ""
