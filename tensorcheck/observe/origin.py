"""A place that a value was at one step before, and how its user calls it there."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.lineage import Step
from tensorcheck.observe.branches import binding_of, results
from tensorcheck.observe.scopes import END, Path, Place, Scope, module_scope


@dataclass(frozen=True, eq=False, slots=True)
class Origin:
    """A place that a value was at, one step before."""

    step: Step
    name: str
    place: Place


def part(node: ast.expr, scope: Scope, path: Path = ()) -> Origin:
    """An expression within a larger one, or the element of it that `path` leads to."""
    return Origin(Step.SPELLED, with_path(ast.unparse(node), path), Place(node, scope, path))


def with_path(name: str, path: Path) -> str:
    """How an element of a structure is written: `CONFIG['width']`, and `rows[...]` for any."""
    return name + "".join("[...]" if selector is None else f"[{selector!r}]" for selector in path)


def shown(place: Place) -> Place:
    """The element itself, where a structure is written over several lines and the element on one of its own."""
    element = written_element(place)
    return place if element.node.lineno == place.node.lineno else element


def written_element(place: Place) -> Place:
    """The element that a path leads to within a display or a `dict(...)`, as far as it is written there."""
    node, path = place.node, place.path
    while path and (inner := _written_at(node, path[0])) is not None:
        node, path = inner, path[1:]
    return Place(node, place.scope, path)


def _written_at(node: ast.expr, selector: object) -> ast.expr | None:
    """The element of a display or of a `dict(...)` that a selector leads to."""
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements) if not any(
            isinstance(each, ast.Starred) for each in elements
        ):
            is_there = isinstance(selector, int) and -len(elements) <= selector < len(elements)
            return elements[selector] if is_there and isinstance(selector, int) else None
        case ast.Dict():
            found = [
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == selector
            ]
            return found[-1] if found else None
        case ast.Call(func=ast.Name(id="dict")):
            return next((word.value for word in node.keywords if word.arg == selector), None)
        case _:
            return None


def element_name(place: Place) -> str:
    """How an expression spells the element of it that a path leads to, as far as it does."""
    return ast.unparse(written_element(place).node)


def returned(step: Step, scope: Scope, path: Path) -> Iterator[Origin]:
    """What a function returned or, where it yields, an element of that."""
    for node, is_yielded in results(scope):
        place = Place(node, scope, path[1:] if is_yielded and step is Step.RETURNED else path)
        yield Origin(step, element_name(place), shown(place))


def each_written(place: Place) -> Iterator[tuple[Path, Place]]:
    """The values of a dict that is written over several lines, each by its key; else the place itself."""
    node, path = place.node, place.path
    is_any = isinstance(node, ast.Dict) and path[:1] == (None,) and node.end_lineno != node.lineno
    keys = [key for each in node.keys if (key := _key(each)) is not None] if isinstance(node, ast.Dict) else []
    if not is_any or not isinstance(node, ast.Dict) or len(keys) < len(node.keys):
        yield path, shown(place)
        return
    for key, value in zip(keys, node.values, strict=True):
        yield (key, *path[1:]), shown(Place(value, place.scope, path[1:]))


def _key(node: ast.expr | None) -> int | str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int | str) else None


def held_by_name(scope: Scope, value: object, path: Path) -> Iterator[Origin]:
    """Something that a variable of this scope, of its callers or of its module still holds."""
    outer: Scope | None = scope
    while outer is not None:
        for name, held in outer.names.items():
            binding = binding_of(outer, name, END) if held is value else None
            if binding is not None:
                yield Origin(Step.ASSIGNED, name, Place(binding.value, outer, binding.path + path))
                return
        outer = outer.caller or module_scope(outer)
