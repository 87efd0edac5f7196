"""From tensors and modules to plain facts."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tensorcheck.modules import ModuleMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor, TensorMeta

_DEEPEST = 4
_WIDEST = 64
"""Structures beyond these are cut: a batch is described, not searched."""

_PLAIN = (tuple, list)
"""What is described by position alone; a subclass may have names for its fields."""

Signature = tuple[object, ...]


def tensor_meta(tensor: Tensor) -> TensorMeta:
    """A tensor's metadata; what is no single size is -1: of a nested tensor's dims, of a lazy parameter."""
    return _meta(_shape(tensor), tensor.dtype, tensor.device, tensor.requires_grad, tensor.is_leaf)


@functools.lru_cache(maxsize=1024)
def _meta(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
    requires_grad: bool,  # noqa: FBT001 - each of these is a part of what is looked up, by position
    is_leaf: bool,  # noqa: FBT001 - likewise
) -> TensorMeta:
    """The same for the same: a traced step describes the same few kinds of tensors over and over."""
    return TensorMeta(shape, str(dtype).removeprefix("torch."), str(device), requires_grad, is_leaf)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    if is_lazy(tensor):
        return (-1,)
    if tensor.is_nested and tensor.layout is torch.strided:
        return (tensor.size(0), *(-1 for _ in range(tensor.dim() - 1)))
    return tuple([size if type(size) is int else -1 for size in tensor.shape])


def named_tensors(value: object, name: str) -> tuple[NamedTensor, ...]:
    """The tensors in a nested structure, each by the expression that reaches it from `name`."""
    if type(value) is Tensor:  # nearly always; each call of a module in a traced step asks this twice
        return (NamedTensor(name, tensor_meta(value)),)
    return tuple(NamedTensor(path, tensor_meta(tensor)) for path, tensor in leaves(value, name))


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in a nested structure."""
    return (tensor for _, tensor in leaves(value, ""))


def leaves(value: object, name: str, depth: int = _DEEPEST) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a nested structure, each with the expression that reaches it from `name`."""
    if is_a(value, Tensor):
        yield name, cast("Tensor", value)
    elif depth:
        for path, child in _children(value, name):
            yield from leaves(child, path, depth - 1)


def is_a(value: object, *kinds: type) -> bool:
    """Whether it is an object of one of these classes, asked of its type: an object may answer as it likes."""
    return issubclass(type(value), kinds)


def _children(value: Any, name: str) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - anything may be in a batch
    if is_a(value, Mapping):
        yield from ((f"{name}[{_quoted(key)}]", value[key]) for key in list(value)[:_WIDEST])
    elif is_a(value, tuple) and hasattr(value, "_fields"):
        yield from ((f"{name}.{field}", getattr(value, field)) for field in value._fields)
    elif is_a(value, list, tuple):
        yield from ((f"{name}[{index}]", child) for index, child in enumerate(value[:_WIDEST]))
    elif dataclasses.is_dataclass(type(value)):
        fields = vars(value).items() if hasattr(value, "__dict__") else ()
        yield from ((f"{name}.{field}", child) for field, child in list(fields)[:_WIDEST])


def _quoted(key: object) -> str:
    return f'"{key}"' if isinstance(key, str) else repr(key)


def signature(value: object, depth: int = _DEEPEST) -> Signature:
    """What makes two batches alike: rank, dtype, device and requires_grad of their tensors, not their sizes."""
    if isinstance(value, Tensor):
        return (value.dim(), value.dtype, value.device, value.requires_grad)
    if isinstance(value, tuple | list) and type(value) in _PLAIN:
        return tuple([signature(child, depth - 1) for child in value[:_WIDEST]]) if depth else ()
    children = [(path, signature(child, depth - 1)) for path, child in _children(value, "")] if depth else []
    return (type(value), *children)


def module_meta(module: nn.Module, path: str, definition: Site | None = None) -> ModuleMeta:
    """A module's class, settings and own parameters."""
    kind = type(module)
    is_builtin = kind.__module__.startswith(_TORCH)
    return ModuleMeta(
        path=path,
        kind=kind.__name__,
        settings={
            name: value
            for name, value in vars(module).items()
            if name[:1] != "_" and (type(value) in _SETTINGS or _is_setting(value))
        },
        parameters=_named(module._parameters),  # noqa: SLF001 - its own, and no property is run
        buffers=_named(module._buffers),  # noqa: SLF001 - likewise
        is_builtin=is_builtin,
        definition=definition,
        inherits="" if is_builtin else inherited_layer(kind, getattr(kind.forward, "__code__", None)),
    )


_TORCH = "torch.nn."


def inherited_layer(kind: type[nn.Module], forward: CodeType | None) -> str:
    """The layer of PyTorch among the bases of a user's class that has this `forward`; empty where there is none.

    What is no layer, such as `nn.Module` itself and the containers, is in other files than the layers.
    """
    bases = (base for base in kind.__mro__ if issubclass(base, nn.Module) and base.__module__.startswith(_TORCH))
    same = (base for base in bases if getattr(base.forward, "__code__", None) is forward)
    return next((base.__name__ for base in same if base.__module__ not in _NO_LAYERS), "")


_NO_LAYERS = ("torch.nn.modules.module", "torch.nn.modules.container", "torch.nn.parallel.distributed")


def kinds_of(model: nn.Module) -> dict[str, str]:
    """The classes of the modules that have parameters of their own, by their dotted paths."""
    return {path: type(part).__name__ for path, part in model.named_modules() if part._parameters}  # noqa: SLF001 - its own


def _named(tensors: Mapping[str, Tensor | None]) -> tuple[NamedTensor, ...]:
    return tuple([NamedTensor(name, tensor_meta(tensor)) for name, tensor in tensors.items() if tensor is not None])


def _is_setting(value: object) -> bool:
    parts: tuple[object, ...] = cast("tuple[object, ...]", value) if is_a(value, tuple) else (value,)
    return all(is_a(part, *_SETTINGS) for part in parts)


_SETTINGS = (bool, int, float, str, type(None))


def named_arguments(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[NamedTensor, ...]:
    """The tensors that a method is called with, by the names of its parameters; `args` without its `self`."""
    names = _parameters_of(function)
    if len(args) == 1 and names and not kwargs:
        return named_tensors(args[0], names[0])
    positional = {
        names[index] if index < len(names) else f"args[{index - len(names)}]": value for index, value in enumerate(args)
    }
    values = {**positional, **kwargs}
    return tuple(tensor for name, value in values.items() for tensor in named_tensors(value, name))


def _parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a method's parameters that take arguments by position, without its `self`."""
    whole = inspect.unwrap(function) if hasattr(function, "__wrapped__") else function
    code = getattr(whole, "__code__", None)
    return code.co_varnames[1 : code.co_argcount] if code is not None else ()
