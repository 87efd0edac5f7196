"""Where the source switches gradients off around an expression: `with torch.no_grad():`, or a decorator."""

import ast
import functools

from tensorcheck.observe.arguments import only_caller
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.scopes import Place
from tensorcheck.sites import Site

_OFF = frozenset({"no_grad", "inference_mode", "set_grad_enabled"})
_ON = frozenset({"enable_grad"})
_Span = tuple[int, int, ast.expr | None, str]


def device_set(node: ast.expr, filename: str) -> Site | None:
    """The innermost `with torch.device(...)` around a place in a file."""
    tree = tree_of(filename)
    for first, last, switch in reversed(_device_spans(tree) if tree is not None else ()):
        if first <= node.lineno <= last:
            return site_of_node(switch, filename, "")
    return None


@functools.lru_cache(maxsize=16)
def _device_spans(tree: ast.Module) -> tuple[tuple[int, int, ast.expr], ...]:
    withs = (node for node in ast.walk(tree) if isinstance(node, ast.With | ast.AsyncWith))
    return tuple(
        (node.body[0].lineno, node.end_lineno or 0, item.context_expr)
        for node in withs
        for item in node.items
        if ast.unparse(item.context_expr).startswith(("torch.device(", "device("))
    )


def switched_off(node: ast.expr, filename: str) -> Site | None:
    """The innermost expression around a place in a file that switches gradients off there."""
    return switch_around(node.lineno, filename)


def switch_around(line: int, filename: str) -> Site | None:
    """The same of a line."""
    tree = tree_of(filename)
    around = [span for span in _spans(tree) if span[0] <= line <= span[1]] if tree is not None else []
    first, _, switch, function = max(around, key=lambda span: span[0], default=(0, 0, None, ""))
    return site_of_node(switch, filename, function) if switch is not None and first else None


def switched_off_outside(place: Place) -> Site | None:
    """The same, also of the function that the place stands in, where its file holds one call of it, and so outwards."""
    for _ in range(_OUTWARDS):
        found = switched_off(place.node, place.scope.filename)
        if found is not None:
            return found
        outer = only_caller(place.scope)
        if outer is None:
            break
        place = outer
    return None


_OUTWARDS = 4


@functools.lru_cache(maxsize=16)
def _spans(tree: ast.Module) -> tuple[_Span, ...]:
    """First and last line of code in which gradients are off, with what says so; None where they are on again."""
    spans: list[_Span] = []
    for node in ast.walk(tree):
        match node:
            case ast.With() | ast.AsyncWith():
                switches, first, name = [item.context_expr for item in node.items], node.body[0].lineno, ""
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                switches, first, name = node.decorator_list, node.body[0].lineno, node.name
            case _:
                continue
        spans += [(first, node.end_lineno or first, *found, name) for each in switches if (found := _switch(each))]
    return tuple(spans)


def _switch(node: ast.expr) -> tuple[ast.expr | None] | None:
    """The expression if it switches gradients off, None in its place if on; nothing at all if it does neither."""
    called = node.func if isinstance(node, ast.Call) else node
    name = ast.unparse(called).rpartition(".")[2]
    given = node.args[0] if isinstance(node, ast.Call) and node.args else None
    is_true = isinstance(given, ast.Constant) and given.value is True
    is_false = isinstance(given, ast.Constant) and given.value is False
    if name in _ON or (name == "set_grad_enabled" and is_true) or (name == "inference_mode" and is_false):
        return (None,)
    return (node,) if name in _OFF else None
