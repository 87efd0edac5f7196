"""What an expression would be worth, found without data: PyTorch's own functions called on the meta device.

The operands of `torch.cat([self.embed(ids), noise], 1)` are gone when it has raised. A function of PyTorch that has no
side effect can be asked again for shape and dtype alone; a function of the user's is never called.
"""

import ast
import copy
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.observe.describe import leaves, tensor_meta
from tensorcheck.observe.evaluating import Namespace, UnknownValueError, evaluate
from tensorcheck.tensors import TensorMeta

_FACTORIES = frozenset(
    ["arange", "empty", "eye", "full", "linspace", "logspace", "ones", "rand", "randint", "randn", "zeros"]
)
_CAST_BY_AUTOCAST = frozenset(
    [
        "addmm",
        "baddbmm",
        "bilinear",
        "bmm",
        "chain_matmul",
        "conv1d",
        "conv2d",
        "conv3d",
        "einsum",
        "linear",
        "matmul",
        "mm",
        "mv",
        "prelu",
        "scaled_dot_product_attention",
    ]
)
_LAYERS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, nn.LayerNorm, nn.Flatten, nn.Unflatten, nn.Identity),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d),
    *(nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
    *(nn.LeakyReLU, nn.ELU, nn.Softmax, nn.LogSoftmax, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.GRU, nn.LSTM),
)


def rehearsed(node: ast.expr, names: Namespace, *, under_autocast: bool) -> TensorMeta | None:
    """A call's or an operator's result; None where it is no tensor or cannot be told.

    Where autocast may have been on, what it casts is not told.
    """
    rehearsal = _Rehearsal(names, under_autocast=under_autocast)
    try:
        with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - no mode is to hear of it
            result = rehearsal.value(node)
    except Exception:  # noqa: BLE001 - what the meta device refuses stays unknown
        return None
    return rehearsal.described(result) if isinstance(result, Tensor) else None


class _Rehearsal:
    def __init__(self, names: Namespace, *, under_autocast: bool) -> None:
        self._names = names
        self._under_autocast = under_autocast
        self._devices: dict[str, None] = {}
        self._wants_grad = False

    def described(self, result: Tensor) -> TensorMeta:
        """The result as it would have been on the devices of what it was made from."""
        device = next(iter(self._devices), "cpu")
        known = tensor_meta(result)
        wants_grad = self._wants_grad and known.is_floating_point
        return TensorMeta(known.shape, known.dtype, device, requires_grad=wants_grad, is_leaf=not wants_grad)

    def value(self, node: ast.expr) -> object:
        """An expression's value, with its tensors on meta."""
        try:
            return self._without_data(evaluate(node, self._names))
        except UnknownValueError:
            pass
        match node:
            case ast.Call():
                return self._called(node)
            case ast.BinOp() | ast.Compare():
                return self._computed(node)
            case ast.Attribute():
                return self._read(node)
            case ast.Subscript():
                return self.value(node.value)[self._index(node.slice)]  # type: ignore[index]  # it raises if it must
            case ast.Tuple() | ast.List():
                return [self.value(element) for element in node.elts]
        raise UnknownValueError

    def _without_data(self, value: object) -> object:
        if isinstance(value, Tensor):
            if type(value) not in (Tensor, nn.Parameter):
                raise UnknownValueError
            self._devices[str(value.device)] = None
            self._wants_grad |= value.requires_grad
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        if isinstance(value, list | tuple) and any(True for _ in leaves(value, "")):
            return [self._without_data(each) for each in value]
        return value

    def _read(self, node: ast.Attribute) -> object:
        owner = self.value(node.value)
        if isinstance(owner, Tensor) and node.attr in ("T", "mT", "H", "mH", "shape", "ndim", "dtype", "real", "imag"):
            return getattr(owner, node.attr)
        raise UnknownValueError

    def _index(self, node: ast.expr) -> object:
        if isinstance(node, ast.Slice):
            parts = (node.lower, node.upper, node.step)
            return slice(*(None if part is None else self.value(part) for part in parts))
        if isinstance(node, ast.Tuple):
            return tuple(self._index(element) for element in node.elts)
        return self.value(node)

    def _computed(self, node: ast.BinOp | ast.Compare) -> object:
        operator, *others = [node.op] if isinstance(node, ast.BinOp) else node.ops
        function = _OPERATORS.get(type(operator))
        if function is None or others or (function == "matmul" and self._under_autocast):
            raise UnknownValueError
        left = self.value(node.left)
        right = self.value(node.right if isinstance(node, ast.BinOp) else node.comparators[0])
        return getattr(torch, function)(left, right) if isinstance(left, Tensor) else getattr(right, function)(left)

    def _called(self, node: ast.Call) -> object:
        if any(word.arg is None or word.arg == "out" for word in node.keywords):
            raise UnknownValueError
        function = self._function(node.func)
        arguments = list(self._arguments(node))
        keywords: dict[str, Any] = {word.arg: self.value(word.value) for word in node.keywords if word.arg}
        if keywords.get("device") is not None:
            self._devices[str(keywords["device"])] = None
        return function(*arguments, **keywords)

    def _arguments(self, node: ast.Call) -> Iterator[object]:
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                yield from self.value(argument.value)  # type: ignore[misc]  # it raises if it must
            else:
                yield self.value(argument)

    def _function(self, node: ast.expr) -> Callable[..., object]:
        if isinstance(node, ast.Attribute):
            try:
                owner = self.value(node.value)
            except UnknownValueError:
                owner = None
            if isinstance(owner, Tensor):
                return self._allowed(getattr(owner, node.attr), node.attr)
        known = evaluate(node, self._names)
        if isinstance(known, nn.Module):
            return self._layer(known)
        if isinstance(known, FunctionType | BuiltinFunctionType) and _is_of_torch(known):
            return self._allowed(known, known.__name__)
        raise UnknownValueError

    def _allowed(self, function: Callable[..., object], name: str) -> Callable[..., object]:
        if name.endswith("_") or name.startswith(("set_", "backward", "register", "share", "pin", "manual", "use_")):
            raise UnknownValueError
        if self._under_autocast and name in _CAST_BY_AUTOCAST:
            raise UnknownValueError
        return _on_meta(function) if name in _FACTORIES else function

    def _layer(self, layer: nn.Module) -> Callable[..., object]:
        """One of PyTorch's own layers, without its data and hooks; a Sequential of such."""
        if type(layer) is nn.Sequential:
            return _chained([self._layer(child) for child in layer])
        if type(layer) not in _LAYERS or (self._under_autocast and isinstance(layer, _LAYERS[:4])):
            raise UnknownValueError
        double = copy.copy(layer)
        for store in ("_parameters", "_buffers"):
            vars(double)[store] = {name: self._state(tensor) for name, tensor in vars(layer)[store].items()}
            self._wants_grad |= any(
                tensor.requires_grad for tensor in vars(layer)[store].values() if tensor is not None
            )
        if isinstance(layer, nn.RNNBase):
            weights = [vars(double)["_parameters"][name] for name in layer._flat_weights_names]  # noqa: SLF001 - private
            vars(double)["_flat_weights"] = weights
        return lambda *args: type(double).forward(double, *args)

    def _state(self, tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else torch.empty_like(tensor, device="meta", requires_grad=False)


def _on_meta(function: Callable[..., object]) -> Callable[..., object]:
    return lambda *args, **kwargs: function(*args, **{**kwargs, "device": "meta"})


def _chained(functions: list[Callable[..., object]]) -> Callable[..., object]:
    def run(value: object) -> object:
        for function in functions:
            value = function(value)
        return value

    return run


def _is_of_torch(function: FunctionType | BuiltinFunctionType) -> bool:
    owner = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__name__
    return str(owner).split(".")[0] in ("torch", "_VariableFunctionsClass")


_OPERATORS: Mapping[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "true_divide",
    ast.MatMult: "matmul",
    ast.Pow: "pow",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
}
