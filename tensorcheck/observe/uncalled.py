"""Statements that name a method and do not call it: `model.train` without parentheses."""

import ast

from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.scopes import Scope, within
from tensorcheck.observe.stack import standing
from tensorcheck.sites import Site


def uncalled(method: str, *owners: object) -> Site | None:
    """The first statement of the running functions that is nothing but this method of one of these objects."""
    with standing() as frames:
        found = (
            _site(node, scope)
            for scope in reversed(scopes_of(frames))
            for node in within(scope.body)
            if _names(node, method, owners, scope)
        )
        return next(found, None)


def _names(node: ast.AST, method: str, owners: tuple[object, ...], scope: Scope) -> bool:
    match node:
        case ast.Expr(value=ast.Attribute(value=owner, attr=attribute)) if attribute == method:
            value = value_of(owner, scope)
            return any(value is each for each in owners)
        case _:
            return False


def _site(node: ast.AST, scope: Scope) -> Site:
    assert isinstance(node, ast.Expr)  # noqa: S101 - the caller has looked
    return site_of_node(node.value, scope.filename, scope.function)
