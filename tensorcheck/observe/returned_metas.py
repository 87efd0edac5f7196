"""What a call of the user's own function would give, found without running it: its `return` is read where it stands."""

import ast
import copy

from tensorcheck.observe.branches import binding_of, results
from tensorcheck.observe.callees import called_scope
from tensorcheck.observe.rehearsing import rehearsed
from tensorcheck.observe.scopes import Place, Scope
from tensorcheck.tensors import TensorMeta

_DEEPEST = 6
"""Statements that are read one through the other."""


def returned_meta(node: ast.expr, scope: Scope, *, under_autocast: bool) -> TensorMeta | None:
    """The shape, dtype and device of what a call gives; None where that is not settled by one expression."""
    inner = called_scope(Place(node, scope))
    found = list(results(inner)) if inner is not None else []
    if inner is None or len(found) != 1 or found[0][1]:
        return None
    try:
        whole = _Inlined(inner, _DEEPEST).visit(copy.deepcopy(found[0][0]))
    except _NotSettledError:
        return None
    return rehearsed(whole, inner.names, under_autocast=under_autocast)


class _NotSettledError(Exception):
    """A name has its value from more than one assignment."""


class _Inlined(ast.NodeTransformer):
    """An expression with what its names were given in the place of the names."""

    def __init__(self, scope: Scope, depth: int) -> None:
        self._scope, self._depth = scope, depth

    def visit_Name(self, node: ast.Name) -> ast.expr:
        at = (node.lineno, node.col_offset)
        binding = binding_of(self._scope, node.id, at)
        if binding is None:
            return node
        if binding.path or binding.is_loop or binding.holds_from > at or not self._depth:
            raise _NotSettledError
        inner: ast.expr = _Inlined(self._scope, self._depth - 1).visit(copy.deepcopy(binding.value))
        return inner
