"""From what a capsule holds back to tensors, arguments and modules.

A module is made without its constructor: its class is found, and its attributes are put where they were. So no code but
that of `nn.Module` runs, and a module is what it was when it failed, whatever was done to it after it was built.
"""

import math
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from tensorcheck.capsules.archive import CapsuleFile
from tensorcheck.capsules.contents import StoredModule, StoredTensor, Value
from tensorcheck.capsules.form import DTYPES, extent
from tensorcheck.capturing.functions import UnknownFunctionError, function_named

_MOST_STAND_INS = 4 << 30
"""Bytes of tensors whose values are not in the file."""
_LOW, _HIGH = 0.01, 0.1
"""Between these are the stand-ins of weights: all positive, so that variances are among them."""
_INTERNAL = frozenset(vars(nn.Module()))
"""What every module has; a capsule names none of it."""

Find = Callable[[str], Any]
"""Finds a class or a function of the user's by its name: `models:Net`."""


class CannotRebuildError(Exception):
    """Something in a capsule can't be made anew here; the message says what, and why."""


class Missing:
    """Stands for what is not in the capsule."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __repr__(self) -> str:
        return f"<{self.words}, which is not in the capsule>"


def no_trust(reference: str) -> Any:  # noqa: ANN401 - the type of what finds
    """Finds nothing of the user's."""
    msg = f"`{reference.replace(':', '.')}` is code of the capsule's, which runs with --trust alone"
    raise CannotRebuildError(msg)


class Rebuilder:
    """Makes each tensor and module of a capsule once, when it is first asked for."""

    def __init__(self, file: CapsuleFile, find: Find = no_trust) -> None:
        self._file = file
        self._find = find
        self._tensors: dict[int, Tensor] = {}
        self._modules: dict[int, nn.Module] = {}
        self._stand_ins = 0
        self.has_stand_ins = False
        """Whether values were made up of an argument that was too large for the file."""

    def tensor(self, number: int) -> Tensor:
        """A tensor."""
        if number not in self._tensors:
            stored = self._file.capsule.tensors[number]
            if not stored.is_plain:
                msg = f"the tensor {stored.without}, of which no capsule holds the values"
                raise CannotRebuildError(msg)
            try:
                self._tensors[number] = self._made(number, stored)
            except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
                msg = f"{stored} can't be made here: {str(error).splitlines()[0]}"
                raise CannotRebuildError(msg) from error
        return self._tensors[number]

    def _made(self, number: int, stored: StoredTensor) -> Tensor:
        with torch.enable_grad(), torch.inference_mode(stored.is_inference):
            # A view of a leaf may not be changed in place in words of its own; so none is made here.
            return _finished(_laid_out(self._values(number, stored).clone(), stored), stored)

    def _values(self, number: int, stored: StoredTensor) -> Tensor:
        dtype = getattr(torch, stored.dtype)
        if stored.device == "meta":
            return torch.empty(stored.stored_shape, dtype=dtype, device="meta")
        if not stored.has_values:
            return self._stand_in(stored, dtype).to(torch.device(stored.device))
        content = bytearray(self._file.values(number))
        if stored.dtype == "bool" and content.translate(None, b"\0\1"):
            msg = "its bools are neither 0 nor 1"
            raise CannotRebuildError(msg)
        flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return flat.reshape(stored.stored_shape).to(torch.device(stored.device))

    def _stand_in(self, stored: StoredTensor, dtype: torch.dtype) -> Tensor:
        """Values between the least and the greatest that there were, both among them."""
        count = math.prod(stored.stored_shape)
        self._stand_ins += max(count, extent(stored)) * max(DTYPES[stored.dtype], 4)
        if self._stand_ins > _MOST_STAND_INS:
            msg = f"{stored} and those before it would take more than {_MOST_STAND_INS >> 30} GiB"
            raise CannotRebuildError(msg)
        is_real = dtype.is_floating_point or dtype.is_complex
        low, high = (stored.lowest, stored.highest)
        if low is None or high is None:
            low, high = (_LOW, _HIGH) if is_real else (0, 0)
        else:
            self.has_stand_ins = True
        if is_real:
            return torch.linspace(low, high, count).to(dtype).reshape(stored.stored_shape)
        numbers = torch.full((count,), int(low), dtype=torch.int64)
        numbers[count // 2 :] = int(high)
        return numbers.to(dtype).reshape(stored.stored_shape)

    def value(self, value: Value) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912 - an argument, one case a tag
        """An argument or an attribute."""
        if not isinstance(value, dict):
            return value
        ((tag, content),) = value.items()
        match tag:
            case "tensor":
                return self.tensor(content)
            case "array":
                return self.tensor(content).numpy()
            case "module":
                return self.module(content)
            case "list":
                return [self.value(item) for item in content]
            case "tuple":
                return tuple(self.value(item) for item in content)
            case "set":
                return {self.value(item) for item in content}
            case "size":
                return torch.Size([self.value(item) for item in content])
            case "slice":
                return slice(*(self.value(item) for item in content))
            case "ellipsis":
                return ...
            case "dict":
                return {self.value(key): self.value(item) for key, item in content}
            case "namespace":
                return SimpleNamespace(**{name: self.value(item) for name, item in content.items()})
            case "float":
                return float(content)
            case "complex":
                return complex(*(self.value(part) for part in content))
            case "dtype":
                return _dtype(content)
            case "device":
                return torch.device(content)
            case "packed":
                return _packed([self.value(part) for part in content])
            case "function":
                return function_named(content)
            case "user":
                return self._find(content)
            case "object":
                return self._object(content[0], content[1])
        return Missing(str(content))

    def argument(self, value: Value) -> Any:  # noqa: ANN401 - an argument
        """The same; a `CannotRebuildError` says why there is none of it."""
        try:
            found = self.value(value)
        except (UnknownFunctionError, RuntimeError, TypeError, ValueError) as error:
            raise CannotRebuildError(str(error)) from error
        if isinstance(found, Missing):
            msg = f"an argument is {found.words}, which is not in the capsule"
            raise CannotRebuildError(msg)
        return found

    def _object(self, reference: str, attributes: Mapping[str, Value]) -> Any:  # noqa: ANN401 - of the user's class
        made = object.__new__(self._find(reference))
        vars(made).update({name: self.value(item) for name, item in attributes.items()})
        return made

    def module(self, number: int) -> nn.Module:
        """A module, with its children."""
        if number not in self._modules:
            stored = self._file.capsule.modules[number]
            try:
                self._modules[number] = self._module(stored)
            except (AttributeError, TypeError, ValueError, RuntimeError, UnknownFunctionError) as error:
                msg = f"`{stored.kind}` can't be made anew: {str(error).splitlines()[0]}"
                raise CannotRebuildError(msg) from error
        return self._modules[number]

    def _module(self, stored: StoredModule) -> nn.Module:
        if stored.without:
            msg = f"`{stored.kind}` can't be made anew: {stored.without}"
            raise CannotRebuildError(msg)
        kind = _class_of_torch(stored) if stored.is_of_torch else self._find(f"{stored.origin}:{stored.kind}")
        if not isinstance(kind, type) or not issubclass(kind, nn.Module):
            msg = f"`{stored.kind}` is no class of modules"
            raise CannotRebuildError(msg)
        module: nn.Module = kind.__new__(kind)
        nn.Module.__init__(module)
        state = vars(module)
        made = {name: self.value(value) for name, value in stored.attributes.items() if name not in _INTERNAL}
        # What is not in the capsule is left out, for it may not be needed.
        state.update({name: value for name, value in made.items() if not isinstance(value, Missing)})
        state["_parameters"].update({name: self._weight(each) for name, each in stored.parameters.items()})
        state["_buffers"].update({name: self._weight(each) for name, each in stored.buffers.items()})
        children = {name: None if each is None else self.module(each) for name, each in stored.children.items()}
        state["_modules"].update(children)
        state["training"] = stored.is_training
        if isinstance(module, nn.RNNBase):
            module._init_flat_weights()  # noqa: SLF001 - as its own constructor and `_apply` do
        return module

    def _weight(self, number: int | None) -> Tensor | None:
        return None if number is None else self.tensor(number)


def _laid_out(values: Tensor, stored: StoredTensor) -> Tensor:
    """The values in memory as they lay there, so that what asks for contiguous memory refuses them again."""
    strides = [stride or 1 for stride in stored.strides]
    if values.numel() == 0 or tuple(values.stride()) == tuple(strides):
        return values
    if extent(stored) * DTYPES[stored.dtype] > _MOST_STAND_INS:
        msg = f"{stored} spans more than {_MOST_STAND_INS >> 30} GiB of memory"
        raise CannotRebuildError(msg)
    laid_out = torch.empty_strided(stored.stored_shape, strides, dtype=values.dtype, device=values.device)
    try:
        return laid_out.copy_(values)
    except RuntimeError:  # it overlaps itself, as windows over a sequence do
        return values


def _finished(tensor: Tensor, stored: StoredTensor) -> Tensor:
    if stored.is_parameter:
        return nn.Parameter(tensor, requires_grad=stored.requires_grad)
    if stored.requires_grad:
        tensor = tensor.requires_grad_()
        if not stored.is_leaf:
            copied = tensor.clone()
            tensor = copied if copied.stride() == tensor.stride() else tensor.view_as(tensor)
    return tensor if stored.shape == stored.stored_shape else tensor.expand(stored.shape)


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None) if name.isidentifier() else None
    if not isinstance(found, torch.dtype):
        msg = f"{name!r} is no dtype"
        raise CannotRebuildError(msg)
    return found


def _packed(parts: list[Any]) -> PackedSequence:
    if len(parts) != len(PackedSequence._fields):
        msg = "a packed sequence has four parts"
        raise CannotRebuildError(msg)
    return PackedSequence(*parts)


def _class_of_torch(stored: StoredModule) -> object:
    """A class of `torch.nn.modules`, of those that PyTorch itself has imported."""
    owner = sys.modules.get(stored.origin)
    found = vars(owner).get(stored.kind) if owner is not None else None
    if not isinstance(found, type) or found.__module__ != stored.origin:
        msg = f"`{stored.origin}.{stored.kind}` is none of this PyTorch's modules"
        raise CannotRebuildError(msg)
    return found
