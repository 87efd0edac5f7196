"""Slices that ran beyond the end of a dim while a sample was made: Python shortens them and says nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tensorcheck.loading import Cut
from tensorcheck.observe.branches import binding_of
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.evaluating import Namespace, UnknownValueError, evaluate, namespace_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.replaying import replayed
from tensorcheck.observe.samples import array_meta
from tensorcheck.observe.scopes import Scope, definition_of, within
from tensorcheck.observe.stack import StackFrame
from tensorcheck.observe.undisturbed import RandomState


def cut_in(dataset: Any, index: Any, state: RandomState | None) -> Cut | None:  # noqa: ANN401 - any dataset
    """The last slice, while a sample was made once more, that took less than its line says."""
    found: list[Cut] = []

    def ended(frame: FrameType, line: int, _: object) -> None:
        found.extend(_cuts(frame, line))

    replayed(dataset, index, ended, state)
    return next((cut for cut in found if cut.site.line == found[-1].site.line), None)


def _cuts(frame: FrameType, line: int) -> Iterator[Cut]:
    """The slices of one line that ended beyond their dim."""
    stack = _stack_to(frame)
    scope = next(iter(scopes_of(stack)[-1:]), None)
    body = definition_of(frame.f_code)
    if scope is None or body is None:
        return
    names = namespace_of(frame)
    for node in within(body):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and node.lineno <= line <= _end(node):
            meta = array_meta(_value(node.value, names))
            if meta is not None:
                yield from _of_subscript(node, meta.shape, scope, Lineages(stack))


def _end(node: ast.expr) -> int:
    return node.end_lineno or node.lineno


def _stack_to(frame: FrameType) -> list[StackFrame]:
    """The frames of the user's from the dataset's own down to this one."""
    stack: list[StackFrame] = []
    outer: FrameType | None = frame
    while outer is not None and not outer.f_code.co_filename.startswith(_HERE):
        stack.append(StackFrame(outer, outer.f_lasti))
        outer = outer.f_back
    return stack[::-1]


_HERE = str(Path(__file__).parent)


def _of_subscript(node: ast.Subscript, shape: tuple[int, ...], scope: Scope, lineages: Lineages) -> Iterator[Cut]:
    parts = list(_selectors(node.slice, scope))
    for place, part in enumerate(parts):
        bounds = _bounds(part)
        dim = _dim_of(place, parts, len(shape))
        if bounds is None or dim is None:
            continue
        start, stop = (_number(bound, scope.names) for bound in bounds)
        if start is not None and stop is not None and 0 <= start < shape[dim] < stop:
            site = site_of_node(node, scope.filename, scope.function)
            assert bounds[0] is not None  # noqa: S101 - its number is known
            lineage = lineages.of(bounds[0], None)
            yield Cut(site, ast.unparse(bounds[0]), start, stop, shape[dim], lineage)


def _selectors(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    """What is asked of each dim, also where a name stands for all of them."""
    if isinstance(node, ast.Name):
        binding = binding_of(scope, node.id, (node.lineno, node.col_offset))
        node = binding.value if binding is not None and not binding.path else node
    yield from node.elts if isinstance(node, ast.Tuple) else [node]


def _bounds(node: ast.expr) -> tuple[ast.expr | None, ast.expr | None] | None:
    match node:
        case ast.Slice(lower=lower, upper=upper, step=None):
            return lower, upper
        case ast.Call(func=ast.Name(id="slice"), args=[lower, upper]):
            return lower, upper
        case _:
            return None


def _dim_of(place: int, parts: list[ast.expr], rank: int) -> int | None:
    """The dim that a selector is for; after an ellipsis they are counted from the end."""
    ellipsis = next((at for at, part in enumerate(parts) if isinstance(part, ast.Constant) and part.value is ...), None)
    dim = place if ellipsis is None or place < ellipsis else rank - len(parts) + place
    return dim if 0 <= dim < rank else None


def _value(node: ast.expr, names: Namespace) -> object:
    try:
        return evaluate(node, names)
    except UnknownValueError:
        return None


def _number(node: ast.expr | None, names: Namespace) -> int | None:
    value = _value(node, names) if node is not None else None
    return value if isinstance(value, int) else None
