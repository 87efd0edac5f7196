"""Where a dataset or a collate function makes one field of what it hands out."""

import ast
from collections.abc import Iterator

from tensorcheck.observe.bindings import bindings
from tensorcheck.observe.callees import called_scope
from tensorcheck.observe.datasets import innermost, loaded_by, sample_function
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.origin import written_element
from tensorcheck.observe.scopes import Path, Place, Scope, with_conditions
from tensorcheck.sites import Site

_DEEPEST = 3


def field_site(iterator: object, name: str) -> Site | None:
    """Where the field that `batch[1]` or `batch["x"]` reaches is made; of several branches, the one with a condition.

    None where no code of the user's makes it.
    """
    loaded, path = loaded_by(iterator), path_of(name)
    if loaded is None:
        return None
    inner = innermost(loaded.dataset)
    function = sample_function(inner)
    if loaded.collate is not None:
        return _made_in(scope_of(loaded.collate), path)
    return _made_in(scope_of(function, inner), path) if function is not None else None


def path_of(name: str) -> Path:
    """The selectors of an expression: `("x", 0)` of `batch["x"][0]`.

    >>> path_of('batch["x"][0]')
    ('x', 0)
    """
    found: list[int | str] = []
    node = ast.parse(name, mode="eval").body if name.isprintable() else ast.Constant(0)
    while isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        found += [key] if isinstance(key, int | str) else []
        node = node.value
    return tuple(found[::-1])


def _made_in(scope: Scope | None, path: Path, depth: int = _DEEPEST) -> Site | None:
    places = list(_results(scope, path)) if scope is not None else []
    if not places:
        return None
    place = _chosen(places)
    inner = called_scope(place) if depth else None
    deeper = _made_in(inner, place.path, depth - 1) if inner is not None else None
    return deeper or site_of_node(place.node, place.scope.filename, place.scope.function)


def _results(scope: Scope, path: Path) -> Iterator[tuple[Place, bool]]:
    """What a function returns there, through the names that it gives it, and whether it does so under a condition."""
    for node, conditions in with_conditions(scope.body):
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            element = written_element(Place(node.value, scope, path))
            given = list(_given(element))
            yield from given or [(element, bool(conditions))]


def _given(element: Place) -> Iterator[tuple[Place, bool]]:
    if not isinstance(element.node, ast.Name):
        return
    for binding in bindings(element.scope.body, element.node.id):
        is_choice = isinstance(binding.value, ast.IfExp)
        place = Place(binding.value, element.scope, binding.path + element.path)
        yield written_element(place), is_choice or bool(binding.conditions)


def _chosen(places: list[tuple[Place, bool]]) -> Place:
    return next((place for place, is_conditional in places if is_conditional), places[-1][0])
