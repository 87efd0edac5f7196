"""What made a layer's weights what they are, as far as the running code and its files tell."""

import ast
import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from tensorcheck.calls import Cause, Quality
from tensorcheck.observe.conversions import conversions
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.materialisations import materialisations
from tensorcheck.observe.scopes import Body, Scope, called_name, within
from tensorcheck.observe.unregistered import hidden

_DEEPEST = 3
"""Functions within functions in which a module may be built."""
_WITHIN = re.compile(r"(?:torch\.)?device\(['\"](\w+)")


def causes_of(layer: nn.Module, model: nn.Module | None, scopes: Sequence[Scope]) -> Iterator[Cause]:
    """The places that explain the dtype or the device of a layer's weights, the most telling first.

    `model` is the whole that it belongs to. What sets a default counts only where the default is still in force.
    """
    weight = next((tensor for tensor in layer.parameters()), None)
    if weight is None or not scopes:
        return
    if model is not None:
        yield from _unregistered(layer, weight, model, scopes[-1])
    found = [cause for cause in conversions(scopes, layer) if _is_as(weight, cause)]
    yield from sorted(found, key=lambda cause: cause.is_likely)
    yield from (cause for cause in set_defaults(scopes) if _is_as(weight, cause))
    if weight.device.type == torch.device("meta").type:
        bodies = [(filename, name, body) for filename in _files(scopes) for name, body in _bodies(filename)]
        yield from materialisations(model if model is not None else layer, bodies)
        yield from _contexts(layer, model, scopes)


def _is_as(weight: Tensor, cause: Cause) -> bool:
    if cause.quality == "dtype":
        return cause.value == _dtype(weight)
    return cause.value.partition(":")[0] == weight.device.type


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _unregistered(layer: nn.Module, weight: Tensor, model: nn.Module, scope: Scope) -> Iterator[Cause]:
    """A list that keeps the layer from the model, whose own weights are other than the layer's."""
    found = hidden(model, layer)
    own = next(model.parameters(), None)
    site = found.site(scope) if found is not None and own is not None else None
    if found is None or own is None or site is None:
        return
    name = f"self.{found.container}"
    if own.dtype != weight.dtype:
        yield Cause("unregistered", "dtype", name, _dtype(own), site)
    if own.device != weight.device:
        yield Cause("unregistered", "device", name, str(own.device), site)


def set_defaults(scopes: Sequence[Scope]) -> Iterator[Cause]:
    """`torch.set_default_dtype` and `torch.set_default_device`, where what they set is not what PyTorch begins with."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    if scopes and dtype != torch.float32:
        yield from _setting("dtype", "set_default_dtype", dtype, scopes)
    if scopes and device.type != "cpu":
        yield from _setting("device", "set_default_device", device, scopes)


def _setting(quality: Quality, function: str, value: object, scopes: Sequence[Scope]) -> Iterator[Cause]:
    found = [
        Cause("default", quality, function, str(value).removeprefix("torch."), site_of_node(node, filename, name))
        for filename in _files(scopes)
        for name, body in _bodies(filename)
        for node in within(body)
        if isinstance(node, ast.Call) and called_name(node) == function and _sets(node, value, scopes)
    ]
    yield from found if len(found) == 1 else ()


def _sets(call: ast.Call, wanted: object, scopes: Sequence[Scope]) -> bool:
    given = value_of(call.args[0], scopes[-1]) if len(call.args) == 1 else None
    return given == wanted or (isinstance(wanted, torch.device) and given == wanted.type)


def _files(scopes: Sequence[Scope]) -> list[str]:
    return list(dict.fromkeys(scope.filename for scope in reversed(scopes)))


def _bodies(filename: str) -> Iterator[tuple[str, Body]]:
    tree = tree_of(filename)
    if tree is not None:
        yield "", tree
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, node


def _contexts(layer: nn.Module, model: nn.Module | None, scopes: Sequence[Scope]) -> Iterator[Cause]:
    """`with torch.device("meta")` around the construction of the layer, or of what it is part of."""
    whole = model if model is not None else layer
    kinds = {type(part).__name__ for part in whole.modules() if any(each is layer for each in part.modules())}
    kinds |= {type(whole).__name__, type(layer).__name__}
    functions = {name: body for filename in _files(scopes) for name, body in _bodies(filename) if name}
    found = [
        Cause(
            "context",
            "device",
            ast.unparse(item.context_expr),
            told[1],
            site_of_node(item.context_expr, filename, name),
        )
        for filename in _files(scopes)
        for name, body in _bodies(filename)
        for node in within(body)
        if isinstance(node, ast.With | ast.AsyncWith)
        for item in node.items
        if (told := _WITHIN.match(ast.unparse(item.context_expr))) is not None and told[1] == "meta"
        if any(_builds(statement, kinds, functions, _DEEPEST) for statement in node.body)
    ]
    yield from found if len(found) == 1 else ()


def _builds(node: ast.AST, kinds: set[str], functions: dict[str, Body], depth: int) -> bool:
    """Whether one of these classes is called here, or in a function of the same files that is called here."""
    names = {called_name(each) for each in ast.walk(node) if isinstance(each, ast.Call)}
    called = [functions[name] for name in names if name in functions and depth]
    return bool(names & kinds) or any(_builds(body, kinds, functions, depth - 1) for body in called)
