"""One step back: what the value of an expression was made from, as the source shows it."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tensorcheck.lineage import Step
from tensorcheck.observe.attributes import definitions
from tensorcheck.observe.datasets import Samples, innermost, loaded_by, sample_function
from tensorcheck.observe.evaluating import UNKNOWN
from tensorcheck.observe.frames import Owner, owner_of
from tensorcheck.observe.scopes import (
    END,
    Binding,
    Path,
    Place,
    Scope,
    binding_of,
    called_name,
    module_scope,
    parameter_of,
    results,
    scope_of,
    value_of,
    within,
)

_FACTORIES = frozenset(
    [
        "arange",
        "bernoulli",
        "choice",
        "empty",
        "eye",
        "full",
        "integers",
        "linspace",
        "logspace",
        "normal",
        "ones",
        "rand",
        "randint",
        "randn",
        "random",
        "randperm",
        "range",
        "standard_normal",
        "uniform",
        "zeros",
    ]
)
"""Functions that make numbers of nothing: their arguments are sizes and limits."""
_PASSING_ON = frozenset(
    {"Subset", "enumerate", "iter", "list", "next", "random_split", "reversed", "sorted", "tqdm", "tuple", "zip"}
)
"""Functions of which an element is an element of an argument."""
_READING = frozenset({"T", "mT", "H", "mH", "data", "grad", "real", "imag"})
"""Attributes of tensors that are tensors."""


@dataclass(frozen=True, eq=False, slots=True)
class Origin:
    """A place that a value was at, one step before."""

    step: Step
    name: str
    place: Place


def origins(place: Place) -> Iterator[Origin]:
    """What an expression's value, or an element of it, was made from."""
    node, scope, path = place.node, place.scope, place.path
    value = value_of(place.node, scope)
    if path and (found := list(_elements(place, value))):
        yield from found
        return
    match node:
        case ast.Name():
            yield from _of_name(node, scope, path)
        case ast.Attribute():
            yield from _of_attribute(node, scope, path)
        case ast.Call():
            yield from _of_call(node, scope, path)
        case ast.Subscript():
            yield from _of_item(node, scope, path)
        case _:
            yield from (_part(part, scope) for part in _parts(node))


def _part(node: ast.expr, scope: Scope, path: Path = ()) -> Origin:
    return Origin(Step.SPELLED, ast.unparse(node), Place(node, scope, path))


def _parts(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions that a value is made from, those of comprehensions by their element."""
    match node:
        case ast.IfExp():
            yield from (node.body, node.orelse)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            yield node.elt
        case ast.DictComp():
            yield node.value
        case ast.Dict():
            yield from node.values
        case ast.Constant() | ast.Lambda() | ast.JoinedStr():
            return
        case _:
            yield from (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _elements(place: Place, value: object) -> Iterator[Origin]:
    """What an element of a structure was made from, if it is one whose elements are known."""
    node, scope, path = place.node, place.scope, place.path
    first, rest = path[0], path[1:]
    loaded = loaded_by(value)
    if loaded is not None and first is None:
        yield from _of_batch(place, loaded.dataset, loaded.collate, rest)
        yield from _of_loader(place, value, rest)
        yield from (replace(origin, step=Step.BUILT) for origin in held_by_name(scope, loaded.dataset, ()))
        yield from (replace(origin, step=Step.BUILT) for origin in held_by_name(scope, value, ()))
    elif isinstance(value, Samples):
        yield from of_sample(place, value.dataset, rest)
    elif sample_function(value) is not None and not isinstance(value, nn.Module | type):
        yield from of_sample(place, value, rest)
    elif isinstance(node, ast.Tuple | ast.List):
        chosen = (
            [node.elts[first]] if isinstance(first, int) and -len(node.elts) <= first < len(node.elts) else node.elts
        )
        yield from (_part(element, scope, rest) for element in chosen)
    elif isinstance(node, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
        yield from (_part(each, scope, rest) for key, each in zip(keys, node.values, strict=True) if key == first)
    elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
        yield _part(node.elt, scope, rest)
    elif isinstance(node, ast.Call):
        yield from _of_passed_on(node, scope, path)


def _of_passed_on(node: ast.Call, scope: Scope, path: Path) -> Iterator[Origin]:  # noqa: C901 - one case a function
    """Elements of what `enumerate`, `zip`, `next` and the like give, and of loaders and datasets made on the spot."""
    name = called_name(node)
    called = value_of(node.func, scope)
    first, rest = path[0], path[1:]
    arguments = node.args
    if name == "dict":
        yield from (_part(word.value, scope, rest) for word in node.keywords if word.arg == first)
    elif isinstance(called, type) and issubclass(called, DataLoader) and first is None:
        yield from _of_new_loader(node, scope, rest)
    elif isinstance(called, type) and sample_function(called) is not None:
        yield from of_sample(Place(node, scope), called, rest)
    elif name == "TensorDataset" and rest and isinstance(rest[0], int) and rest[0] < len(arguments):
        yield _part(arguments[rest[0]], scope, rest[1:])
    elif not arguments or name not in _PASSING_ON:
        return
    elif name == "random_split":
        yield _part(arguments[0], scope, rest)
    elif name == "enumerate" and rest[:1] == (1,):
        yield _part(arguments[0], scope, (None, *rest[1:]))
    elif name == "next":
        yield _part(arguments[0], scope, (None, *path))
    elif name == "zip" and isinstance(arguments[0], ast.Starred):
        yield _part(arguments[0].value, scope, (None, first, *rest[1:]))
    elif name == "zip" and rest and isinstance(rest[0], int) and rest[0] < len(arguments):
        yield _part(arguments[rest[0]], scope, (None, *rest[1:]))
    elif name not in ("zip", "enumerate"):
        yield _part(arguments[0], scope, path)


def _of_loader(place: Place, loader: object, path: Path) -> Iterator[Origin]:
    """The same, read where the loader was built: what a TensorDataset or a list was made of stands there."""
    for origin in held_by_name(place.scope, loader, ()):
        node = origin.place.node
        if isinstance(node, ast.Call) and called_name(node) == "DataLoader":
            yield from _of_new_loader(node, origin.place.scope, path)


def _of_new_loader(node: ast.Call, scope: Scope, path: Path) -> Iterator[Origin]:
    """A batch of a DataLoader whose construction stands here, in code that ran before."""
    collate = next((value_of(word.value, scope) for word in node.keywords if word.arg == "collate_fn"), None)
    dataset = next((word.value for word in node.keywords if word.arg == "dataset"), next(iter(node.args), None))
    if isinstance(collate, FunctionType) and dataset is not None:
        yield from _of_batch(Place(node, scope), _built(dataset, scope), collate, path)
    elif dataset is not None:
        yield _part(dataset, scope, (None, *path))


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
    yield from _results(Step.COLLATED, replace(scope, names=names), path)


def of_sample(place: Place, dataset: object, path: Path) -> Iterator[Origin]:
    """What a dataset's sample, or an element of it, was made from."""
    inner = innermost(dataset) if not isinstance(dataset, type) else dataset
    if isinstance(inner, TensorDataset):
        yield from _of_columns(place, inner, path)
        return
    function = sample_function(inner)
    scope = scope_of(function, inner) if function is not None else None
    if scope is not None:
        yield from _results(Step.SAMPLE, scope, path)
    elif isinstance(inner, list | tuple) and path:
        yield from held_by_name(place.scope, inner, (None, *path))


def _of_columns(place: Place, dataset: TensorDataset, path: Path) -> Iterator[Origin]:
    """A column of a TensorDataset, by the variable that still holds it."""
    column = path[0] if path else 0
    if isinstance(column, int) and column < len(dataset.tensors):
        yield from held_by_name(place.scope, dataset.tensors[column], ())


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


def _results(step: Step, scope: Scope, path: Path) -> Iterator[Origin]:
    """What a function returned or, where it yields, an element of that."""
    for node, is_yielded in results(scope):
        yield Origin(
            step, _named(node, path), Place(node, scope, path[1:] if is_yielded and step is Step.RETURNED else path)
        )


def _named(node: ast.expr, path: Path) -> str:
    for selector in path:
        if isinstance(node, ast.Tuple | ast.List) and isinstance(selector, int) and selector < len(node.elts):
            node = node.elts[selector]
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            node = node.values[keys.index(selector)] if selector in keys else node
    return ast.unparse(node)


def _of_name(node: ast.Name, scope: Scope, path: Path) -> Iterator[Origin]:
    binding = binding_of(scope, node.id, (node.lineno, node.col_offset))
    if binding is not None:
        yield _bound(node.id, binding, scope, path)
        yield from _appended(node.id, binding, scope, path)
        return
    given = parameter_of(scope, node.id)
    if given is not None:
        yield Origin(Step.ARGUMENT, node.id, replace(given, path=path))
        return
    outer = module_scope(scope)
    binding = binding_of(outer, node.id, END) if outer is not None else None
    if binding is not None and outer is not None:
        yield _bound(node.id, binding, outer, path)
        yield from _appended(node.id, binding, outer, path)


def _appended(name: str, binding: Binding, scope: Scope, path: Path) -> Iterator[Origin]:
    """What a function puts into a list that it has made."""
    if not isinstance(binding.value, ast.List) and called_name(binding.value) not in ("list", "deque"):
        return
    for node in within(scope.body):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr="append"), args=[value]) if owner == name:
                yield Origin(Step.ASSIGNED, name, Place(value, scope, path[1:]))


def _bound(name: str, binding: Binding, scope: Scope, path: Path) -> Origin:
    is_loaded = binding.is_loop and _is_loader(binding.value, scope)
    return Origin(Step.LOADED if is_loaded else Step.ASSIGNED, name, Place(binding.value, scope, binding.path + path))


def _is_loader(node: ast.expr, scope: Scope) -> bool:
    """Whether a loop is over a DataLoader, by its name or made on the spot, counted or shown with a bar."""
    if loaded_by(value_of(node, scope)) is not None:
        return True
    if not isinstance(node, ast.Call):
        return False
    called = value_of(node.func, scope)
    is_class = isinstance(called, type) and issubclass(called, DataLoader)
    return is_class or (called_name(node) in _PASSING_ON and any(_is_loader(each, scope) for each in node.args))


def _of_attribute(node: ast.Attribute, scope: Scope, path: Path) -> Iterator[Origin]:
    owner = value_of(node.value, scope)
    if isinstance(owner, Tensor | np.ndarray) or (owner is UNKNOWN and node.attr in _READING):
        yield _part(node.value, scope)
        return
    found = list(definitions(node, owner if owner is not UNKNOWN else None, scope))
    for definition in found:
        yield Origin(Step.ATTRIBUTE, ast.unparse(node), replace(definition, path=definition.path + path))
    if not found and isinstance(owner, nn.Module) and isinstance(node.value, ast.Attribute):
        yield from _of_attribute(node.value, scope, ())


def _of_item(node: ast.Subscript, scope: Scope, path: Path) -> Iterator[Origin]:
    container = value_of(node.value, scope)
    is_tensor = isinstance(container, Tensor | np.ndarray)
    index = node.slice.value if isinstance(node.slice, ast.Constant) else None
    is_slice = isinstance(node.slice, ast.Slice | ast.Tuple)
    if is_tensor or is_slice or not (index is None or isinstance(index, int | str)):
        yield _part(node.value, scope, () if is_tensor else path)
    else:
        yield _part(node.value, scope, (index, *path))


def _of_call(node: ast.Call, scope: Scope, path: Path) -> Iterator[Origin]:
    called = value_of(node.func, scope)
    inner = _inside(called, node, scope)
    if inner is not None:
        yield from _results(Step.RETURNED, inner, path)
        return
    name = str(getattr(called, "__name__", called_name(node)))
    if name == "next" and node.args:
        yield _part(node.args[0], scope, (None, *path))
        return
    if name in _FACTORIES:
        sizes = (argument for argument in node.args if _may_be_a_source(argument, scope))
        yield from (Origin(Step.SIZED, ast.unparse(size), Place(size, scope)) for size in sizes)
        return
    if isinstance(called, nn.Module) and isinstance(node.func, ast.Attribute):
        layers = _of_attribute(node.func, scope, ())
        yield from (replace(origin, step=Step.LAYER) for origin in layers)
    if isinstance(node.func, ast.Attribute) and not isinstance(
        value_of(node.func.value, scope), ModuleType | type | nn.Module
    ):
        yield _part(node.func.value, scope)
    for argument in [*node.args, *(word.value for word in node.keywords)]:
        if _may_be_a_source(argument, scope):
            yield _part(argument, scope)


def called_scope(place: Place) -> Scope | None:
    """The body of the user's function that an expression calls."""
    node = place.node
    return _inside(value_of(node.func, place.scope), node, place.scope) if isinstance(node, ast.Call) else None


def _inside(called: object, node: ast.Call, scope: Scope) -> Scope | None:
    """The body of the user's function that is called."""
    if isinstance(called, nn.Module):
        forward = getattr(type(called), "forward", None)
        return scope_of(inspect.unwrap(forward), called, Place(node, scope)) if callable(forward) else None
    if called is UNKNOWN and isinstance(node.func, ast.Call):
        return _inside_new(node, node.func, scope)
    function = inspect.unwrap(called) if callable(called) and not isinstance(called, type) else called
    if not isinstance(function, FunctionType) or owner_of(function.__code__.co_filename) is not Owner.USER:
        return None
    owner = value_of(node.func.value, scope) if isinstance(node.func, ast.Attribute) else None
    return scope_of(function, owner if _takes_self(function) and owner is not UNKNOWN else None, Place(node, scope))


def _inside_new(node: ast.Call, made: ast.Call, scope: Scope) -> Scope | None:
    """The `forward` of a model that is made and called at once: `Net()(x)`."""
    cls = value_of(made.func, scope)
    if not isinstance(cls, type) or not issubclass(cls, nn.Module):
        return None
    return scope_of(inspect.unwrap(cls.forward), cls, Place(node, scope))


def _takes_self(function: FunctionType) -> bool:
    return function.__code__.co_varnames[:1] in (("self",), ("cls",))


def _may_be_a_source(node: ast.expr, scope: Scope) -> bool:
    """Whether an argument may hold a tensor or the numbers of one, and is no flag, dim or size."""
    value = value_of(node, scope)
    return not isinstance(value, bool | str | type(None) | torch.dtype | torch.device | type | ModuleType) and not (
        isinstance(node, ast.Constant) or callable(value)
    )
