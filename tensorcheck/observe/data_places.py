"""Where what a DataLoader goes through was made: from its construction back to a split, a slice, a computation."""

import ast

from torch.utils.data import Dataset

from tensorcheck.observe.arguments import parameter_of
from tensorcheck.observe.branches import binding_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.scopes import END, Place, Scope, called_name, module_scope
from tensorcheck.sites import Site

_DEEPEST = 8
_HOLDING = frozenset(
    {"DataLoader", "TensorDataset", "tensor", "as_tensor", "from_numpy", "Tensor", "FloatTensor", "asarray", "array"}
)
"""What holds its first argument as it is."""
_CASTING = frozenset({"float", "double", "to", "astype", "numpy", "unsqueeze", "reshape", "view", "clone"})
"""Methods that leave the samples the same."""


def data_site(loader: Place) -> Site | None:
    """Where the data of a loader that is constructed here was made; None if that is the construction itself."""
    place: Place | None = loader
    last = loader
    for _ in range(_DEEPEST):
        place = _before(place) if place is not None else None
        last = place or last
    return site_of_place(last) if last is not loader else None


def site_of_place(place: Place) -> Site:
    """Where an expression stands."""
    return site_of_node(place.node, place.scope.filename, place.scope.function)


def _before(place: Place) -> Place | None:
    """One step back; None where the samples were chosen or computed here."""
    if place.path:
        return _element(place)
    match place.node:
        case ast.Name() as name:
            return _given(name, place.scope)
        case ast.Call() as call:
            held = _held(call, place.scope)
            return Place(held, place.scope) if held is not None else None
        case _:
            return None


def _element(place: Place) -> Place | None:
    """One of several that are given names at once: `rows[:70], rows[70:]`."""
    first, *rest = place.path
    if isinstance(place.node, ast.Tuple) and isinstance(first, int) and first < len(place.node.elts):
        return Place(place.node.elts[first], place.scope, tuple(rest))
    return None


def _held(call: ast.Call, scope: Scope) -> ast.expr | None:
    """The argument whose samples what is called here has."""
    name, words = called_name(call), {word.arg: word.value for word in call.keywords}
    if name == "DataLoader" and "sampler" in words:
        return words["sampler"]
    if name == "Subset":
        return _named(words.get("indices", call.args[1] if len(call.args) > 1 else None))
    if name == "SubsetRandomSampler":
        return _named(next(iter(call.args), None))
    if name in _CASTING and isinstance(call.func, ast.Attribute):
        return call.func.value
    if name in _HOLDING or _is_dataset(call, scope):
        held = next(iter(call.args), words.get("dataset"))
        return None if isinstance(held, ast.Starred | ast.Constant) else held
    return None


def _named(node: ast.expr | None) -> ast.expr | None:
    """Indices that have a name of their own."""
    return node if isinstance(node, ast.Name) else None


def _given(name: ast.Name, scope: Scope) -> Place | None:
    binding = binding_of(scope, name.id, (name.lineno, name.col_offset))
    if binding is not None:
        return Place(binding.value, scope, binding.path)
    given = parameter_of(scope, name.id)
    if given is not None:
        return given
    outer = module_scope(scope)
    binding = binding_of(outer, name.id, END) if outer is not None else None
    return Place(binding.value, outer, binding.path) if binding is not None and outer is not None else None


def _is_dataset(node: ast.Call, scope: Scope) -> bool:
    """Whether it builds a dataset of the user's own from an array, and not from a folder or a number."""
    called = value_of(node.func, scope)
    is_own = isinstance(called, type) and issubclass(called, Dataset)
    return is_own and bool(node.args) and isinstance(node.args[0], ast.Name | ast.Call | ast.Subscript)
