"""One step back from what a DataLoader or a dataset hands out."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from types import FunctionType

from torch.utils.data import DataLoader, TensorDataset

from tensorcheck.lineage import Step
from tensorcheck.observe.datasets import Samples, innermost, loaded_by, sample_function
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.evaluating import UNKNOWN
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.origin import Origin, held_by_name, part, returned
from tensorcheck.observe.scopes import Path, Place, Scope, called_name

PASSING_ON = frozenset(
    {"Subset", "enumerate", "iter", "list", "next", "random_split", "reversed", "sorted", "tqdm", "tuple", "zip"}
)
"""Functions of which an element is an element of an argument."""


def is_loader(node: ast.expr, scope: Scope) -> bool:
    """Whether a loop is over a DataLoader, by its name or made on the spot, counted or shown with a bar."""
    if loaded_by(value_of(node, scope)) is not None:
        return True
    if not isinstance(node, ast.Call):
        return False
    called = value_of(node.func, scope)
    is_class = isinstance(called, type) and issubclass(called, DataLoader)
    return is_class or (called_name(node) in PASSING_ON and any(is_loader(each, scope) for each in node.args))


def of_loader(place: Place, loader: object, path: Path) -> Iterator[Origin]:
    """What an element of a batch was made from, of a DataLoader that is still there."""
    loaded = loaded_by(loader)
    if loaded is None:
        return
    yield from _of_batch(place, loaded.dataset, loaded.collate, path)
    yield from _where_built(place, loader, path)
    yield from (replace(origin, step=Step.BUILT) for origin in held_by_name(place.scope, loaded.dataset, ()))
    yield from (replace(origin, step=Step.BUILT) for origin in held_by_name(place.scope, loader, ()))


def _where_built(place: Place, loader: object, path: Path) -> Iterator[Origin]:
    """The same, read where the loader was built: what a TensorDataset or a list was made of stands there."""
    for origin in held_by_name(place.scope, loader, ()):
        node, scope = origin.place.node, origin.place.scope
        if isinstance(node, ast.Call) and called_name(node) == "DataLoader":
            yield from of_new_loader(node, scope, path)
        elif isinstance(node, ast.Call):
            yield part(node, scope, (*origin.place.path, None, *path))


def of_new_loader(node: ast.Call, scope: Scope, path: Path) -> Iterator[Origin]:
    """A batch of a DataLoader whose construction stands here, in code that ran before."""
    collate = next((value_of(word.value, scope) for word in node.keywords if word.arg == "collate_fn"), None)
    dataset = next((word.value for word in node.keywords if word.arg == "dataset"), next(iter(node.args), None))
    if isinstance(collate, FunctionType) and dataset is not None:
        yield from _of_batch(Place(node, scope), _built(dataset, scope), collate, path)
    elif dataset is not None:
        yield part(dataset, scope, (None, *path))


def _built(node: ast.expr, scope: Scope) -> object:
    """An object that stands here or, of one that is built on the spot, its class."""
    value = value_of(node, scope)
    return value_of(node.func, scope) if value is UNKNOWN and isinstance(node, ast.Call) else value


def _of_batch(place: Place, dataset: object, collate: FunctionType | None, path: Path) -> Iterator[Origin]:
    scope = scope_of(collate) if collate is not None else None
    if scope is None or isinstance(scope.body, ast.Module):
        yield from of_sample(place, dataset, path)
        return
    arguments = scope.body.args.args
    given = next((argument.arg for argument in arguments if argument.arg not in ("self", "cls")), "")
    names = {**scope.names, given: Samples(dataset)}
    yield from returned(Step.COLLATED, replace(scope, names=names), path)


def of_sample(place: Place, dataset: object, path: Path) -> Iterator[Origin]:
    """What a dataset's sample, or an element of it, was made from."""
    inner = innermost(dataset) if not isinstance(dataset, type) else dataset
    if isinstance(inner, TensorDataset):
        yield from _of_columns(place, inner, path)
        return
    function = sample_function(inner)
    scope = scope_of(function, inner) if function is not None else None
    if scope is not None:
        yield from returned(Step.SAMPLE, replace(scope, ran=place.scope.ran), path)
    elif isinstance(inner, list | tuple) and path:
        yield from held_by_name(place.scope, inner, (None, *path))


def _of_columns(place: Place, dataset: TensorDataset, path: Path) -> Iterator[Origin]:
    """A column of a TensorDataset, by the variable that still holds it."""
    column = path[0] if path else 0
    if isinstance(column, int) and column < len(dataset.tensors):
        yield from held_by_name(place.scope, dataset.tensors[column], ())
