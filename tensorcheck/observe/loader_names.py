"""How the running code calls a DataLoader, and where it built it, known from its sampler alone."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from torch.utils.data import DataLoader

from tensorcheck.observe.arguments import parameter_of
from tensorcheck.observe.attributes import given_in_methods
from tensorcheck.observe.branches import binding_of, results
from tensorcheck.observe.callees import called_scope
from tensorcheck.observe.data_places import data_site, site_of_place
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.scopes import END, Place, Scope, called_name, module_scope, within
from tensorcheck.observe.stack import standing
from tensorcheck.sites import Site


@dataclass(frozen=True, slots=True)
class LoaderNames:
    """What the running code says of a loader."""

    names: tuple[str, ...] = ()
    """Its names, in the innermost function first."""
    results: tuple[str, ...] = ()
    """The names that the running statements give to what they compute."""
    functions: tuple[str, ...] = ()
    """The running functions, the innermost first."""
    built: Site | None = None
    data: Site | None = None
    """Where what it goes through was made: the split, or the tensor."""

    @property
    def name(self) -> str:
        """What its owner calls it: the outermost of its names."""
        return self.names[-1] if self.names else ""


def names_of(sampler: object) -> LoaderNames:
    """What the running code says of the loader that has this index sampler."""
    with standing() as frames:
        scopes = scopes_of(frames)[::-1]
        found = [(name, scope) for scope in scopes for name in _names_in(scope, sampler)]
        made = next((place for name, scope in found if (place := _construction(name, scope)) is not None), None)
        made = made or _built_on_the_spot(scopes)
        return LoaderNames(
            names=tuple(dict.fromkeys(name for name, _ in found)),
            results=tuple(dict.fromkeys(name for scope in scopes for name in _results(scope))),
            functions=tuple(scope.function.rpartition(".")[2] for scope in scopes if scope.function != "<module>"),
            built=site_of_place(made) if made is not None else None,
            data=data_site(made) if made is not None else None,
        )


def _names_in(scope: Scope, sampler: object) -> Iterator[str]:
    for name, value in scope.names.items():
        if _is_it(value, sampler):
            yield name
        elif type(value) is dict:
            yield from (f"{name}[{key!r}]" for key, each in list(value.items()) if _is_it(each, sampler))
        elif name == "self":
            held = getattr(value, "__dict__", {})
            yield from (f"self.{key}" for key, each in list(held.items()) if _is_it(each, sampler))


def _is_it(value: object, sampler: object) -> bool:
    if not issubclass(type(value), DataLoader):
        return False
    return any(vars(value).get(name) is sampler for name in ("batch_sampler", "sampler"))


def _construction(name: str, scope: Scope) -> Place | None:
    """The call of `DataLoader` that gave it this name, in this scope, in its module or in a function called there."""
    if name.startswith("self."):
        given = given_in_methods(scope.names["self"], name.removeprefix("self."), scope)
        return next((made for each in given if (made := _loader_in(each)) is not None), None)
    name, outer = name.partition("[")[0], module_scope(scope)
    binding, holder = binding_of(scope, name, END), scope
    if binding is None:
        given_as = parameter_of(scope, name)
        if given_as is not None:
            return _loader_in(given_as)
        binding, holder = (binding_of(outer, name, END), outer) if outer is not None else (None, scope)
    return _loader_in(Place(binding.value, holder, binding.path)) if binding is not None else None


def _loader_in(place: Place, depth: int = 4) -> Place | None:
    """The call of `DataLoader` in an expression, or in what the user's function that it calls returns."""
    calls = (each for each in ast.walk(place.node) if isinstance(each, ast.Call))
    made = next((each for each in calls if called_name(each) == "DataLoader"), None)
    if made is not None or not depth:
        return Place(made, place.scope) if made is not None else None
    inner = called_scope(place)
    for node, _ in results(inner) if inner is not None else ():
        found = _loader_in(_part(node, place, inner), depth - 1) if inner is not None else None
        if found is not None:
            return found
    return None


def _part(node: ast.expr, place: Place, scope: Scope) -> Place:
    """Of what a function returns, the element that the path leads to, and what gave it its name there."""
    first = next(iter(place.path), None)
    if isinstance(node, ast.Tuple) and isinstance(first, int) and first < len(node.elts):
        node = node.elts[first]
    binding = binding_of(scope, node.id, (node.lineno, node.col_offset)) if isinstance(node, ast.Name) else None
    return Place(binding.value, scope, binding.path) if binding is not None else Place(node, scope)


def _built_on_the_spot(scopes: list[Scope]) -> Place | None:
    places = (_loader_in(Place(node, scope), depth=0) for scope in scopes if (node := _standing(scope)) is not None)
    return next((place for place in places if place is not None), None)


def _standing(scope: Scope) -> ast.expr | None:
    """The expression that a scope stands in; at the end of a loop, what that went through."""
    if isinstance(scope.standing, ast.expr):
        return scope.standing
    loops = (each for each in within(scope.body) if isinstance(each, ast.For))
    return next((each.iter for each in loops if (each.lineno, each.col_offset) == scope.stands_at), None)


def _results(scope: Scope) -> Iterator[str]:
    """The names that the statement in which a function stands gives to something, or the loop that stands there."""
    at = scope.stands_at
    for statement in within(scope.body) if at is not None else ():
        if isinstance(statement, ast.Assign) and at is not None and _spans(statement, at):
            yield from (ast.unparse(target) for target in statement.targets)
        elif isinstance(statement, ast.For) and at is not None and _spans(statement.iter, at):
            yield from _given_in(statement.body)


def _given_in(body: list[ast.stmt]) -> Iterator[str]:
    for node in (each for statement in body for each in ast.walk(statement)):
        if isinstance(node, ast.AugAssign | ast.AnnAssign):
            yield ast.unparse(node.target)
        elif isinstance(node, ast.Assign):
            yield from (ast.unparse(target) for target in node.targets)


def _spans(node: ast.stmt | ast.expr, at: tuple[int, int]) -> bool:
    first = (node.lineno, node.col_offset)
    return first <= at <= (node.end_lineno or node.lineno, node.end_col_offset or 0)
