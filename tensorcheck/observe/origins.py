"""One step back: what the value of an expression was made from, as the source shows it."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from tensorcheck.lineage import Step
from tensorcheck.observe.arguments import parameter_of, parameters
from tensorcheck.observe.attributes import definitions
from tensorcheck.observe.batches import is_loader
from tensorcheck.observe.bindings import Binding
from tensorcheck.observe.branches import bindings_at
from tensorcheck.observe.callees import scope_of_called
from tensorcheck.observe.elements import elements
from tensorcheck.observe.evaluating import UNKNOWN
from tensorcheck.observe.fillings import is_empty_container, put_into
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.origin import (
    Origin,
    each_written,
    element_name,
    part,
    returned,
    shown,
    with_path,
    written_element,
)
from tensorcheck.observe.saved_files import is_reading, saved_before
from tensorcheck.observe.scopes import END, Path, Place, Scope, called_name, module_scope

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
_HANDING_OUT = frozenset({"parameters", "named_parameters", "buffers", "named_buffers", "state_dict"})
"""Methods of modules that hand out what they hold."""
_READING = frozenset({"T", "mT", "H", "mH", "data", "grad", "real", "imag"})
"""Attributes of tensors that are tensors."""


def origins(place: Place) -> Iterator[Origin]:
    """What an expression's value, or an element of it, was made from."""
    node, scope, path = place.node, place.scope, place.path
    value = value_of(place.node, scope)
    if path and (found := list(elements(place, value))):
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
            yield from (part(each, scope) for each in _parts(node))


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
        case ast.BinOp(left=left, right=right):
            sides = [side for side in (left, right) if not isinstance(side, ast.Constant)]
            yield from sides or (left, right)
        case ast.Constant() | ast.Lambda() | ast.JoinedStr():
            return
        case _:
            yield from (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _of_name(node: ast.Name, scope: Scope, path: Path) -> Iterator[Origin]:
    found = bindings_at(scope, node.id, (node.lineno, node.col_offset))
    given = parameter_of(scope, node.id, path)
    before = [each for each in found if each.holds_from <= (node.lineno, node.col_offset) or each.within is not None]
    if scope.turn is not None and len(found) > len(before):
        yield from _of_turn(node, found[-1], scope, path)
        found = () if scope.turn else tuple(before)
    if given is not None and not before and not scope.turn:
        yield Origin(Step.ARGUMENT, with_path(node.id, path), shown(given))
    outer = scope if found or given is not None or node.id in parameters(scope) else module_scope(scope)
    for binding in found if outer is scope or outer is None else bindings_at(outer, node.id, END):
        yield from _bound(node.id, binding, outer or scope, path)


def _of_turn(node: ast.Name, below: Binding, scope: Scope, path: Path) -> Iterator[Origin]:
    """What the round before gave a name, of a loop whose rounds are told apart."""
    if scope.turn:
        yield from _bound(node.id, below, replace(scope, turn=scope.turn - 1), path)


def _bound(name: str, binding: Binding, scope: Scope, path: Path) -> Iterator[Origin]:
    step = Step.LOADED if binding.is_loop and is_loader(binding.value, scope) else Step.ASSIGNED
    place = Place(binding.value, scope, binding.path + path)
    filled = list(_filled(name, place))
    for held, element in [] if filled else each_written(place):
        own = held[len(binding.path) :] if len(held) == len(place.path) else path
        yield Origin(step, with_path(name, own), element)
    yield from (Origin(Step.ASSIGNED, ast.unparse(each.node), each) for each in filled)


def _filled(name: str, place: Place) -> Iterator[Place]:
    """What is put later into a container that a statement gives its name."""
    made = written_element(place)
    if is_empty_container(made.node):
        yield from put_into(place.scope, lambda owner: isinstance(owner, ast.Name) and owner.id == name, made.path)


def _of_attribute(node: ast.Attribute, scope: Scope, path: Path) -> Iterator[Origin]:
    owner = value_of(node.value, scope)
    if isinstance(owner, Tensor | np.ndarray) or (owner is UNKNOWN and node.attr in _READING):
        yield part(node.value, scope)
        return
    found = list(definitions(node, owner if owner is not UNKNOWN else None, scope, path))
    for definition in found:
        yield Origin(Step.ATTRIBUTE, with_path(ast.unparse(node), path), shown(definition))
    if not found and isinstance(owner, nn.Module) and isinstance(node.value, ast.Attribute):
        yield from _of_attribute(node.value, scope, ())


def _of_item(node: ast.Subscript, scope: Scope, path: Path) -> Iterator[Origin]:
    container = value_of(node.value, scope)
    is_tensor = isinstance(container, Tensor | np.ndarray)
    index = _index(node.slice, scope)
    is_slice = isinstance(node.slice, ast.Slice | ast.Tuple)
    if is_tensor or is_slice:
        yield part(node.value, scope, () if is_tensor else path)
    else:
        yield part(node.value, scope, (index if isinstance(index, int | str) else None, *path))


def _index(node: ast.expr, scope: Scope) -> object:
    return node.value if isinstance(node, ast.Constant) else value_of(node, scope)


def _of_call(node: ast.Call, scope: Scope, path: Path) -> Iterator[Origin]:
    called = value_of(node.func, scope)
    inner = scope_of_called(called, node, scope)
    if inner is not None:
        yield from returned(Step.RETURNED, inner, path)
        return
    yield from _placed(node, scope)
    yield from _typed(node, scope)
    name = str(getattr(called, "__name__", called_name(node)))
    if called is torch.device and node.args:
        yield Origin(Step.PLACED, ast.unparse(node.args[0]), Place(node.args[0], scope))
    elif name == "next" and node.args:
        yield part(node.args[0], scope, (None, *path))
    elif name in _FACTORIES:
        sizes = (argument for argument in node.args if _may_be_a_source(argument, scope))
        yield from (Origin(Step.SIZED, ast.unparse(size), Place(size, scope)) for size in sizes)
    elif is_reading(node):
        yield from (Origin(Step.SAVED, element_name(each), shown(each)) for each in saved_before(node, scope, path))
    else:
        yield from _of_unknown(node, called, scope)


def _placed(node: ast.Call, scope: Scope) -> Iterator[Origin]:
    """What names the device of what a call gives."""
    named = [word.value for word in node.keywords if word.arg == "device"]
    if called_name(node) == "to" and not named:
        named = [each for each in node.args[:1] if _is_device(value_of(each, scope))]
    yield from (Origin(Step.PLACED, ast.unparse(each), Place(each, scope)) for each in named)


def _typed(node: ast.Call, scope: Scope) -> Iterator[Origin]:
    """The name that a dtype has been given, where what a call gives has the dtype of that name."""
    named = [word.value for word in node.keywords if word.arg == "dtype"]
    if called_name(node) in ("astype", "to", "type") and not named:
        named = [each for each in node.args[:1] if _is_dtype(value_of(each, scope))]
    for each in named:
        is_library = isinstance(each, ast.Attribute) and isinstance(value_of(each.value, scope), ModuleType)
        if isinstance(each, ast.Name | ast.Attribute | ast.Subscript) and not is_library:
            yield Origin(Step.TYPED, ast.unparse(each), Place(each, scope))


def _is_dtype(value: object) -> bool:
    return isinstance(value, torch.dtype | np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))


def _is_device(value: object) -> bool:
    """Whether a value is a device, or the name of one."""
    return isinstance(value, torch.device) or (isinstance(value, str) and value.partition(":")[0] in _DEVICES)


_DEVICES = frozenset({"cpu", "cuda", "hpu", "meta", "mps", "xla", "xpu"})


def _of_unknown(node: ast.Call, called: object, scope: Scope) -> Iterator[Origin]:
    """The arguments of a call whose body is not the user's, the object whose method it is, where a layer was built."""
    if isinstance(called, nn.Module) and isinstance(node.func, ast.Attribute):
        layers = _of_attribute(node.func, scope, ())
        yield from (replace(origin, step=Step.LAYER) for origin in layers)
    if isinstance(node.func, ast.Attribute) and (
        node.func.attr in _HANDING_OUT
        or not isinstance(value_of(node.func.value, scope), ModuleType | type | nn.Module)
    ):
        yield part(node.func.value, scope)
    for argument in [*node.args, *(word.value for word in node.keywords)]:
        if _may_be_a_source(argument, scope):
            yield part(argument, scope)


def _may_be_a_source(node: ast.expr, scope: Scope) -> bool:
    """Whether an argument may hold a tensor or the numbers of one, and is no flag, dim or size."""
    value = value_of(node, scope)
    return not isinstance(value, bool | str | type(None) | torch.dtype | torch.device | type | ModuleType) and not (
        isinstance(node, ast.Constant) or callable(value)
    )
