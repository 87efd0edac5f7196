"""One step back from an element of a structure: of a display, a comprehension, or what `zip` and the like give."""

import ast
import copy
import functools
from collections.abc import Iterator

from torch import nn
from torch.utils.data import DataLoader

from tensorcheck.observe.batches import PASSING_ON, of_loader, of_new_loader, of_sample
from tensorcheck.observe.datasets import Samples, loaded_by, sample_function
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.origin import Origin, part
from tensorcheck.observe.scopes import Path, Place, Scope, called_name


def elements(place: Place, value: object) -> Iterator[Origin]:
    """What an element of a structure was made from, if it is one whose elements are known."""
    node, scope, path = place.node, place.scope, place.path
    first, rest = path[0], path[1:]
    if loaded_by(value) is not None and first is None:
        yield from of_loader(place, value, rest)
    elif isinstance(value, Samples):
        yield from of_sample(place, value.dataset, rest)
    elif sample_function(value) is not None and not isinstance(value, nn.Module | type):
        yield from of_sample(place, value, rest)
    elif isinstance(node, ast.Tuple | ast.List):
        yield from _of_display(node, scope, path)
    elif isinstance(node, ast.Dict):
        yield from (part(each, scope, rest) for each in _values(node, first))
    elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
        yield part(_in_turn(node, first) if isinstance(first, int) else node.elt, scope, rest)
    elif isinstance(node, ast.DictComp):
        yield part(node.value, scope, rest)
    elif isinstance(node, ast.Call):
        yield from _of_call(node, scope, path)


def _of_display(node: ast.Tuple | ast.List, scope: Scope, path: Path) -> Iterator[Origin]:
    first, rest = path[0], path[1:]
    count = len(node.elts)
    starred = next((place for place, each in enumerate(node.elts) if isinstance(each, ast.Starred)), count)
    if isinstance(first, int) and (0 <= first < starred or (starred == count and -count <= first < 0)):
        yield part(node.elts[first], scope, rest)
        return
    for each in node.elts:
        yield part(each.value, scope, (None, *rest)) if isinstance(each, ast.Starred) else part(each, scope, rest)


@functools.lru_cache(maxsize=512)
def _in_turn(node: ast.ListComp | ast.GeneratorExp | ast.SetComp, index: int) -> ast.expr:
    """The element at an index of a comprehension, with what its variable stands for in that turn; always the same."""
    generator = node.generators[0]
    if len(node.generators) > 1 or generator.ifs or not isinstance(generator.target, ast.Name):
        return node.elt
    turn = ast.Subscript(generator.iter, ast.copy_location(ast.Constant(index), generator.iter), ast.Load())
    element = _Replacing(generator.target.id, ast.copy_location(turn, generator.iter)).visit(copy.deepcopy(node.elt))
    assert isinstance(element, ast.expr)  # noqa: S101 - a name was put in the place of a name
    return element


class _Replacing(ast.NodeTransformer):
    """An expression in the place of each use of a name."""

    def __init__(self, name: str, instead: ast.expr) -> None:
        self._name, self._instead = name, instead

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._instead if node.id == self._name else node


def _values(node: ast.Dict, first: object) -> Iterator[ast.expr]:
    """The values of a dict's display that a key leads to; all of them, if any may be meant."""
    keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
    yield from (each for key, each in zip(keys, node.values, strict=True) if first in (key, None))


def _of_call(node: ast.Call, scope: Scope, path: Path) -> Iterator[Origin]:
    """Elements of loaders, datasets and dicts that are made on the spot, and of what passes elements on."""
    name, called = called_name(node), value_of(node.func, scope)
    first, rest = path[0], path[1:]
    if name == "dict" and node.keywords:
        yield from (part(word.value, scope, rest) for word in node.keywords if first in (word.arg, None))
    elif isinstance(called, type) and issubclass(called, DataLoader) and first is None:
        yield from of_new_loader(node, scope, rest)
    elif isinstance(called, type) and sample_function(called) is not None:
        yield from of_sample(Place(node, scope), called, rest)
    elif name == "TensorDataset":
        yield from _of_column(node, scope, rest)
    elif name in ("values", "items") and isinstance(node.func, ast.Attribute) and first is None:
        yield from _of_pairs(node.func, scope, rest)
    elif node.args and name in PASSING_ON:
        yield from _passed_on(name, node.args, scope, path)


def _of_column(node: ast.Call, scope: Scope, path: Path) -> Iterator[Origin]:
    """A column of a TensorDataset that is built here."""
    if path and isinstance(path[0], int):
        columns = ast.copy_location(ast.Tuple(list(node.args), ast.Load()), node)
        yield from _of_display(columns, scope, path)


def _of_pairs(method: ast.Attribute, scope: Scope, path: Path) -> Iterator[Origin]:
    """An element of `table.values()`, or the second of a pair of `table.items()`."""
    if method.attr == "values":
        yield part(method.value, scope, (None, *path))
    elif path[:1] == (1,):
        yield part(method.value, scope, (None, *path[1:]))


def _passed_on(name: str, arguments: list[ast.expr], scope: Scope, path: Path) -> Iterator[Origin]:
    """Elements of what `enumerate`, `zip`, `next` and the like give."""
    first, rest = path[0], path[1:]
    if name == "random_split":
        yield part(arguments[0], scope, rest)
    elif name == "enumerate":
        yield from [part(arguments[0], scope, (None, *rest[1:]))] if rest[:1] == (1,) else []
    elif name == "next":
        yield part(arguments[0], scope, (None, *path))
    elif name == "zip" and isinstance(arguments[0], ast.Starred):
        yield part(arguments[0].value, scope, (None, first, *rest[1:]))
    elif name == "zip":
        is_one = rest and isinstance(rest[0], int) and rest[0] < len(arguments)
        yield from [part(arguments[rest[0]], scope, (None, *rest[1:]))] if is_one and isinstance(rest[0], int) else []
    else:
        yield part(arguments[0], scope, path)
