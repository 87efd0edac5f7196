"""From tensors, modules and arguments to what a capsule holds of them. Nothing of the user's is changed or called."""

import argparse
import math
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tensorcheck.capsules.contents import StoredModule, StoredTensor, Value
from tensorcheck.capsules.form import DTYPES
from tensorcheck.capsules.values import plain
from tensorcheck.capturing.functions import name_of
from tensorcheck.observe.describe import inherited_layer, tensor_meta
from tensorcheck.observe.frames import Owner, owner_of
from tensorcheck.observe.values import statistics_of

_DEEPEST = 12
_WIDEST = 10_000
"""Entries of one container."""
_INTERNAL = frozenset(vars(nn.Module()))
"""What every module has; what is left was put there by its class."""
_OF_RECURRENT = ("_flat_weights", "_flat_weight_refs")
"""The parameters once more, which a recurrent layer finds again by their names."""
_PLAIN_TENSORS = (Tensor, nn.Parameter, nn.Buffer)
_NO_LAYER = "its class is made at run time, as a parametrization does"
_WEIGHTS_LEFT_OUT = "weights are left out"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the values is written."""

    tensor: int = 16 << 20
    """Bytes of one."""
    whole: int = 64 << 20
    """Bytes of all arguments together."""
    with_weights: bool = False
    """Whether weights are written, of any size."""


class Store:
    """Numbers tensors and modules in the order in which they are met, each once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.whole
        self._known: dict[int, int] = {}
        self._kept: list[object] = []
        """Keeps what is known by its id alive, so that no other object gets that id."""
        self.tensors: list[StoredTensor] = []
        self.values: dict[int, bytes] = {}
        self.modules: list[StoredModule] = []
        self.of_user: dict[str, None] = {}
        """The Python modules of the user's whose classes and functions were met, with their names: `models:Net`."""
        self.notes: dict[str, None] = {}

    def value(self, value: Any, name: str, depth: int = _DEEPEST) -> Value:  # noqa: ANN401, C901, PLR0911, PLR0912 - any value, one return a kind
        """An argument or attribute; `name` is what a note calls it."""
        if value is None or type(value) in (bool, str):
            return value
        if isinstance(value, Tensor):
            return {"tensor": self.tensor(value, is_weight=isinstance(value, nn.Parameter))}
        if isinstance(value, nn.Module):
            return {"module": self.module(value, name)}
        match value:
            case torch.dtype():
                return {"dtype": str(value).removeprefix("torch.")}
            case torch.device():
                return {"device": str(value)}
            case torch.Size():
                return {"size": list(value)}
            case np.generic() | np.ndarray():
                return self._array(value, name)
            case str():
                return str(value)
            case int():
                return int(value) if value.bit_length() <= 64 else self._missing(name, "a very long number")  # noqa: PLR2004 - bits
            case float():
                return plain(float(value))
            case complex():
                return {"complex": [plain(value.real), plain(value.imag)]}
            case slice():
                return {"slice": [self.value(part, name, depth) for part in (value.start, value.stop, value.step)]}
            case types.EllipsisType():
                return {"ellipsis": ""}
        return self._container(value, name, depth) if depth else self._missing(name, "nested too deeply")

    def _container(self, value: Any, name: str, depth: int) -> Value:  # noqa: ANN401, PLR0911 - likewise
        if isinstance(value, nn.utils.rnn.PackedSequence):
            return {"packed": [self.value(part, name, depth - 1) for part in value]}
        tag = next((tag for kind, tag in _CONTAINERS.items() if type(value) is kind), "")
        if tag and len(value) > _WIDEST:
            return self._missing(name, f"a {tag} of {len(value)}")
        if tag == "dict" or isinstance(value, Mapping):
            items = list(value.items())[:_WIDEST]
            return {"dict": [[self.value(k, name, 1), self.value(v, f"{name}[{k!r}]", depth - 1)] for k, v in items]}
        if tag:
            return {tag: [self.value(item, f"{name}[{index}]", depth - 1) for index, item in enumerate(value)]}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return {"tuple": [self.value(item, name, depth - 1) for item in value]}
        if isinstance(value, argparse.Namespace | types.SimpleNamespace):
            return {"namespace": self._attributes(vars(value), name, depth)}
        return self._other(value, name, depth)

    def _attributes(self, values: Mapping[str, Any], name: str, depth: int) -> dict[str, Value]:
        return {
            key: self.value(value, f"{name}.{key}", depth - 1)
            for key, value in values.items()
            if key.isidentifier() and not key.startswith("__")
        }

    def _other(self, value: Any, name: str, depth: int) -> Value:  # noqa: ANN401 - any value
        """A function or an object of a class."""
        if isinstance(value, type) or callable(value):
            known = name_of(value)
            return {"function": known} if known else self._of_user(value, name)
        kind = type(value)
        if _can_be_found(kind) and owner_of(_file_of(kind)) is Owner.USER and type(vars(value)) is dict:
            self.of_user[_reference(kind)] = None
            return {"object": [_reference(kind), self._attributes(vars(value), name, depth)]}
        return self._missing(name, f"a {kind.__qualname__}")

    def _of_user(self, value: Any, name: str) -> Value:  # noqa: ANN401 - a function or a class
        if isinstance(value, FunctionType | type) and _can_be_found(value) and _is_of_user(value):
            self.of_user[_reference(value)] = None
            return {"user": _reference(value)}
        return self._missing(name, _words_for(value))

    def _missing(self, name: str, what: str) -> Value:
        self.notes[f"`{name}` is {what}, which is not in the capsule"] = None
        return {"missing": what}

    def _array(self, value: Any, name: str) -> Value:  # noqa: ANN401 - of NumPy
        if value.dtype.kind not in "biufc":
            return self._missing(name, f"an array of {value.dtype}")
        if isinstance(value, np.generic):
            return self.value(value.item(), name)
        return {"array": self.tensor(torch.from_numpy(np.ascontiguousarray(value)))}

    def tensor(self, tensor: Tensor, *, is_weight: bool = False) -> int:
        """The number of a tensor."""
        if id(tensor) not in self._known:
            self._known[id(tensor)] = len(self.tensors)
            self._kept.append(tensor)
            number = len(self.tensors)
            stored = _described(tensor)
            self.tensors.append(stored)
            if stored.is_plain:
                self.tensors[number] = self._with_values(stored, tensor, number, is_weight=is_weight)
        return self._known[id(tensor)]

    def _with_values(self, stored: StoredTensor, tensor: Tensor, number: int, *, is_weight: bool) -> StoredTensor:
        why = self._reason_against(stored, tensor, is_weight=is_weight)
        if why:
            return _without_values(stored, tensor, why, is_looked_at=why not in (_WEIGHTS_LEFT_OUT, _NO_VALUES))
        self.values[number] = _bytes_of(tensor, stored)
        if not is_weight:
            self._left -= len(self.values[number])
        return replace(stored, has_values=True)

    def _reason_against(self, stored: StoredTensor, tensor: Tensor, *, is_weight: bool) -> str:
        size = math.prod(stored.stored_shape) * DTYPES[stored.dtype]
        if tensor.device.type == "meta":
            return _NO_VALUES
        if is_weight:
            return "" if self._limits.with_weights else _WEIGHTS_LEFT_OUT
        if size > self._limits.tensor:
            return f"{size >> 20} MiB are more than the {self._limits.tensor >> 20} that one tensor may have"
        if size > self._left:
            return f"the tensors before it fill the {self._limits.whole >> 20} MiB that all may have"
        return ""

    def module(self, module: nn.Module, name: str) -> int:
        """The number of a module."""
        if id(module) in self._known:
            return self._known[id(module)]
        self._kept.append(module)
        stored = self._module(module, name)
        self._known[id(module)] = len(self.modules)
        self.modules.append(stored)
        return self._known[id(module)]

    def _module(self, module: nn.Module, name: str) -> StoredModule:
        state, kind = vars(module), type(module)
        if "_modules" not in state:
            return StoredModule(
                kind.__module__, kind.__qualname__, without="its `__init__` did not call that of nn.Module"
            )
        children = {
            key: None if child is None else self.module(child, f"{name}.{key}")
            for key, child in state["_modules"].items()
        }
        origin, qualified, without = self._class_of(module)
        if without:
            self.notes[f"`{name}` ({kind.__name__}) can't be made anew: {without}"] = None
        if any(state.get(hooks) for hooks in ("_forward_hooks", "_forward_pre_hooks")):
            self.notes[f"the hooks on `{name}` are not in the capsule"] = None
        own = {key: value for key, value in state.items() if key not in _INTERNAL and key not in _OF_RECURRENT}
        return StoredModule(
            origin,
            qualified,
            attributes=self._attributes(own, name, _DEEPEST),
            parameters={key: self._weight(tensor) for key, tensor in state["_parameters"].items()},
            buffers={key: self._weight(tensor) for key, tensor in state["_buffers"].items()},
            children=children,
            is_training=bool(state.get("training", True)),
            without=without,
        )

    def _weight(self, tensor: Tensor | None) -> int | None:
        """Masks and positions among the buffers are no weights: they are whole numbers."""
        if tensor is None:
            return None
        is_weight = isinstance(tensor, nn.Parameter) or tensor.is_floating_point() or tensor.is_complex()
        return self.tensor(tensor, is_weight=is_weight)

    def _class_of(self, module: nn.Module) -> tuple[str, str, str]:
        """Where a class is defined, its name, and why it can't be found there by it."""
        kind = type(module)
        origin, name = kind.__module__, kind.__qualname__
        if any(is_lazy(tensor) for tensor in vars(module)["_parameters"].values()):
            return origin, name, "it is lazy and was not initialised"
        if origin.startswith("torch.nn."):
            return origin, name, "" if _can_be_found(kind) else _NO_LAYER
        inherited = inherited_layer(kind, getattr(kind.forward, "__code__", None))
        base = next((base for base in kind.__mro__ if base.__name__ == inherited), None)
        if inherited and base is not None and not vars(module)["_modules"]:
            self.notes[f"`{name}` is stored as `{inherited}`, whose forward it runs"] = None
            return base.__module__, base.__qualname__, ""
        if not _can_be_found(kind):
            where = "inside a function" if "<locals>" in name else "where it can't be found by its name"
            return origin, name.replace("<locals>.", ""), f"its class is defined {where}"
        if isinstance(module, torch.jit.ScriptModule):
            return origin, name, "it was compiled by TorchScript"
        self.of_user[_reference(kind)] = None
        return origin, name, ""


_CONTAINERS: Mapping[type, str] = types.MappingProxyType(
    {list: "list", tuple: "tuple", dict: "dict", set: "set", frozenset: "set"}
)
_NO_VALUES = "it is on the meta device"


def _described(tensor: Tensor) -> StoredTensor:
    meta = tensor_meta(tensor)
    why = _odd(tensor)
    if why:
        return StoredTensor(meta.dtype, (), (), meta.device, without=f"{meta} is {why}", is_plain=False)
    return StoredTensor(
        dtype=meta.dtype,
        shape=meta.shape,
        strides=tensor.stride(),
        device=meta.device,
        requires_grad=meta.requires_grad,
        is_leaf=meta.is_leaf,
        is_parameter=isinstance(tensor, nn.Parameter),
        is_inference=tensor.is_inference(),
    )


def _odd(tensor: Tensor) -> str:
    """Why a tensor can't be made anew; empty where it can."""
    if is_lazy(tensor):
        return "lazy and was not initialised"
    if type(tensor) not in _PLAIN_TENSORS:
        return f"a {type(tensor).__qualname__}"
    if tensor.layout is not torch.strided or tensor.is_nested:
        return f"of the layout {str(tensor.layout).removeprefix('torch.')}"
    if str(tensor.dtype).removeprefix("torch.") not in DTYPES:
        return f"of {tensor.dtype}"
    return "inside a transform of torch.func" if torch._C._functorch.is_functorch_wrapped_tensor(tensor) else ""  # noqa: SLF001 - no other sign


def _bytes_of(tensor: Tensor, stored: StoredTensor) -> bytes:
    """The values in the order of their indices, of an expanded dim those of its first place."""
    with torch.no_grad():
        held = _unexpanded(tensor.detach(), stored).cpu().resolve_conj().resolve_neg()
        flat = held.contiguous().reshape(-1)
        content: bytes = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return content


def _unexpanded(tensor: Tensor, stored: StoredTensor) -> Tensor:
    for dim, size in enumerate(stored.stored_shape):
        if size != tensor.size(dim):
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _without_values(stored: StoredTensor, tensor: Tensor, why: str, *, is_looked_at: bool) -> StoredTensor:
    seen = statistics_of([tensor.detach()])[0] if is_looked_at else None
    if seen is None:
        return replace(stored, without=why)
    shares = ", ".join(f"{seen.share(name)} {name}" for name in ("nan", "inf", "zeros") if seen.share(name))
    mean = "" if seen.mean is None else f"mean {seen.mean:.4g}"
    words = ", ".join(part for part in (mean, shares) if part)
    return replace(stored, without=why, lowest=seen.lowest, highest=seen.highest, statistics=words)


def _reference(found: Any) -> str:  # noqa: ANN401 - a function or class
    return f"{found.__module__}:{found.__qualname__}"


def _can_be_found(wanted: Any) -> bool:  # noqa: ANN401 - a function or class
    """Whether its Python module has it under its name."""
    found: object = sys.modules.get(wanted.__module__)
    for part in wanted.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is wanted


def _is_of_user(value: FunctionType | type) -> bool:
    return owner_of(_file_of(value)) is Owner.USER


def _file_of(value: Any) -> str:  # noqa: ANN401 - a function or class
    code = getattr(value, "__code__", None) or next(_codes(value), None)
    return code.co_filename if code is not None else getattr(sys.modules.get(value.__module__), "__file__", None) or ""


def _codes(kind: type) -> Iterator[types.CodeType]:
    return (part.__code__ for part in vars(kind).values() if isinstance(part, FunctionType))


def _words_for(value: object) -> str:
    if isinstance(value, FunctionType):
        if value.__name__ == "<lambda>":
            return "a lambda"
        return f"the function {value.__qualname__}{', a closure' if value.__closure__ else ''}"
    if isinstance(value, MethodType):
        return f"the method {value.__qualname__}"
    return f"a {type(value).__qualname__}"
