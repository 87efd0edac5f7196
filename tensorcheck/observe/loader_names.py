"""How the running code calls a DataLoader, and where it built it, known from its sampler alone."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from torch.utils.data import DataLoader

from tensorcheck.observe.branches import binding_of
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.scopes import END, Scope, called_name, module_scope, within
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

    @property
    def name(self) -> str:
        """What its owner calls it: the outermost of its names."""
        return self.names[-1] if self.names else ""


def names_of(sampler: object) -> LoaderNames:
    """What the running code says of the loader that has this index sampler."""
    with standing() as frames:
        scopes = scopes_of(frames)[::-1]
        found = [(name, scope) for scope in scopes for name in _names_in(scope, sampler)]
        built = [site for name, scope in found if (site := _built(name, scope)) is not None]
        return LoaderNames(
            names=tuple(dict.fromkeys(name for name, _ in found)),
            results=tuple(dict.fromkeys(name for scope in scopes for name in _results(scope))),
            functions=tuple(scope.function.rpartition(".")[2] for scope in scopes if scope.function != "<module>"),
            built=next(iter(built), None) or _built_on_the_spot(scopes),
        )


def _names_in(scope: Scope, sampler: object) -> Iterator[str]:
    for name, value in scope.names.items():
        if _is_it(value, sampler):
            yield name
        elif type(value) is dict:
            yield from (f"{name}[{key!r}]" for key, each in list(value.items()) if _is_it(each, sampler))


def _is_it(value: object, sampler: object) -> bool:
    if not issubclass(type(value), DataLoader):
        return False
    return any(vars(value).get(name) is sampler for name in ("batch_sampler", "sampler"))


def _built(name: str, scope: Scope) -> Site | None:
    """The call of `DataLoader` that gave it this name, in this scope or in its module."""
    outer: Scope | None = scope
    while outer is not None:
        binding = binding_of(outer, name.partition("[")[0], END)
        if binding is not None:
            calls = (each for each in ast.walk(binding.value) if isinstance(each, ast.Call))
            made = next((each for each in calls if called_name(each) == "DataLoader"), None)
            return site_of_node(made, outer.filename, outer.function) if made is not None else None
        outer = module_scope(outer)
    return None


def _built_on_the_spot(scopes: list[Scope]) -> Site | None:
    for scope in scopes:
        for node in ast.walk(scope.standing) if scope.standing is not None else ():
            if isinstance(node, ast.Call) and called_name(node) == "DataLoader":
                return site_of_node(node, scope.filename, scope.function)
    return None


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
