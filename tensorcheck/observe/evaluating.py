"""What an expression of a dead frame was worth, without running any code of the user's.

Names, attributes that need no property, subscripts of plain containers and displays of these; no function of the user's
is called.
"""

import ast
import builtins
from collections.abc import Mapping
from types import FrameType

import torch
from torch import Tensor, nn

Namespace = Mapping[str, object]

_MISSING = object()
_PLAIN_TENSORS = (Tensor, nn.Parameter)
"""Those whose methods run no code of the user's."""
_PLAIN_ATTRIBUTES = frozenset({"T", "mT", "shape", "dtype", "device", "data", "grad", "requires_grad", "ndim"})
"""Of tensors, those that cost nothing and change nothing."""


_VIEWS = frozenset({"transpose", "permute", "t", "unsqueeze", "squeeze", "expand", "movedim", "swapaxes", "narrow"})
"""Methods of tensors that make no copy."""


UNKNOWN = object()
"""What is worth something that cannot be told."""


class UnknownValueError(Exception):
    """The expression's value cannot be told without running something."""


def namespace_of(frame: FrameType) -> Namespace:
    """The names that a frame's code can use; locals before globals before builtins."""
    return {**vars(builtins), **frame.f_globals, **frame.f_locals}


def evaluate(node: ast.expr, names: Namespace) -> object:
    """The value of an expression; an `UnknownValueError` where that would run code."""
    try:
        return _evaluate(node, names)
    except UnknownValueError:
        raise
    except Exception as error:
        raise UnknownValueError from error


def known_value(node: ast.expr, names: Namespace) -> object:
    """The value of an expression, or `UNKNOWN`."""
    try:
        return evaluate(node, names)
    except UnknownValueError:
        return UNKNOWN


def _evaluate(node: ast.expr, names: Namespace) -> object:  # noqa: C901, PLR0911 - one return for each kind of node
    match node:
        case ast.Constant():
            return node.value
        case ast.Name() if node.id in names:
            return names[node.id]
        case ast.Attribute():
            return _attribute(evaluate(node.value, names), node.attr)
        case ast.Subscript():
            return _item(evaluate(node.value, names), _index(node.slice, names))
        case ast.Tuple():
            return tuple(evaluate(element, names) for element in node.elts)
        case ast.List():
            return [evaluate(element, names) for element in node.elts]
        case ast.Call(func=ast.Attribute(value=owner, attr=("size" | "dim" | "numel") as method), keywords=[]):
            return _measured(evaluate(owner, names), method, [evaluate(each, names) for each in node.args])
        case ast.Call(func=ast.Attribute(value=owner, attr=method), keywords=[]) if method in _VIEWS:
            return _view(evaluate(owner, names), method, [evaluate(each, names) for each in node.args])
        case ast.Call(func=ast.Name(id="len"), args=[sized], keywords=[]):
            return _length(evaluate(sized, names))
        case ast.UnaryOp(op=ast.USub()):
            return _negative(evaluate(node.operand, names))
        case ast.BinOp():
            return _arithmetic(node.op, evaluate(node.left, names), evaluate(node.right, names))
    raise UnknownValueError


def _attribute(owner: object, name: str) -> object:
    """An attribute that is stored; of a module also a parameter, buffer or submodule, of a class the bare function."""
    if isinstance(owner, Tensor):
        if name not in _PLAIN_ATTRIBUTES:
            raise UnknownValueError
        return getattr(owner, name)
    for store in _own_stores(owner):
        if name in store:
            return store[name]
    for cls in type(owner).__mro__:
        if name in vars(cls):
            return _of_class(vars(cls)[name])
    raise UnknownValueError


def _own_stores(owner: object) -> list[Mapping[str, object]]:
    if isinstance(owner, type):
        return [vars(cls) for cls in owner.__mro__]
    own: list[Mapping[str, object]] = [vars(owner)] if hasattr(owner, "__dict__") else []
    if isinstance(owner, nn.Module):
        own += [own[0].get(store) or {} for store in ("_parameters", "_buffers", "_modules")]  # type: ignore[misc]
    return own


def _of_class(value: object) -> object:
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    if hasattr(type(value), "__set__"):
        raise UnknownValueError
    return value


def _index(node: ast.expr, names: Namespace) -> object:
    """What stands between brackets, with its slices."""
    match node:
        case ast.Slice():
            return slice(
                *(None if part is None else evaluate(part, names) for part in (node.lower, node.upper, node.step))
            )
        case ast.Tuple():
            return tuple(_index(element, names) for element in node.elts)
    return evaluate(node, names)


def _item(container: object, index: object) -> object:
    if type(container) in _PLAIN_TENSORS:
        return _part(container, index)
    if type(container) in (list, tuple) and isinstance(index, slice):
        return container[index]  # type: ignore[index]  # the type was just looked at
    if type(container) in (list, tuple, dict, torch.Size) and isinstance(index, int | str):
        return container[index]  # type: ignore[index]  # the type was just looked at
    if isinstance(container, nn.ModuleList | nn.Sequential) and isinstance(index, int):
        return list(vars(container)["_modules"].values())[index]
    if isinstance(container, nn.ModuleDict | nn.ParameterDict) and isinstance(index, str):
        return vars(container)["_modules" if isinstance(container, nn.ModuleDict) else "_parameters"][index]
    raise UnknownValueError


def _part(tensor: object, index: object) -> object:
    """A view of a part of a tensor; an index that is a tensor would make a copy."""
    for each in index if isinstance(index, tuple) else (index,):
        if not (each is None or each is Ellipsis or isinstance(each, int | slice)) or isinstance(each, bool):
            raise UnknownValueError
    return tensor[index]  # type: ignore[index]  # a tensor's own, by the caller's look


def _view(owner: object, method: str, arguments: list[object]) -> object:
    if type(owner) not in _PLAIN_TENSORS:
        raise UnknownValueError
    return getattr(owner, method)(*arguments)


def _measured(owner: object, method: str, arguments: list[object]) -> object:
    if not isinstance(owner, Tensor):
        raise UnknownValueError
    return getattr(owner, method)(*arguments)


def _length(sized: object) -> int:
    if not isinstance(sized, Tensor | list | tuple | dict | str):
        raise UnknownValueError
    return len(sized)


def _negative(value: object) -> object:
    if isinstance(value, int | float):
        return -value
    raise UnknownValueError


def _arithmetic(operator: ast.operator, left: object, right: object) -> object:
    """Of numbers only: sizes are often written as `4 * width`."""
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        raise UnknownValueError
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.FloorDiv():
            return left // right
        case ast.Div():
            return left / right
    raise UnknownValueError
