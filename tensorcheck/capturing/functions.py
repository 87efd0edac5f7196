"""The functions that a capsule may name, and so the only ones that replaying one without trust will call.

They compute with tensors and do nothing else: what reads or writes files, imports, compiles, calls what it is given or
hands out memory is none of them.
"""

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import rnn

from tensorcheck.observe.expressions import OPERATORS

_SPACES: Mapping[str, object] = MappingProxyType(
    {
        "torch": torch,
        "torch.nn.functional": functional,
        "torch.linalg": torch.linalg,
        "torch.fft": torch.fft,
        "torch.special": torch.special,
        "torch.nn.utils.rnn": rnn,
        "torch.Tensor": Tensor,
        "operator": operator,
    }
)
_OF_TORCH = frozenset({*dir(torch._C._VariableFunctions), *torch.functional.__all__})  # noqa: SLF001 - what dispatches to operators
_FILES_OR_MEMORY = frozenset({"from_file", "frombuffer", "from_numpy"})
_METHODS_THAT_DO_MORE = frozenset(
    {
        *("register_hook", "register_post_accumulate_grad_hook", "map_", "map2_", "apply_", "module_load"),
        *("share_memory_", "pin_memory", "set_", "storage", "untyped_storage", "data_ptr", "const_data_ptr"),
        *("record_stream", "reinforce", "as_subclass", "new"),
    }
)
_LOW_LEVEL = ("cudnn", "miopen", "mkldnn", "fbgemm", "quantized", "mkl")
"""Kernels that check less of what they are given than the functions above them do."""
_PACKING = frozenset({"pack_padded_sequence", "pad_packed_sequence", "pad_sequence", "pack_sequence", "unpad_sequence"})
_COMPUTING = frozenset(
    {
        *OPERATORS.values(),
        *("and_", "or_", "not_", "getitem", "setitem", "truth", "pos"),
        *(
            f"i{name}"
            for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")
        ),
    }
)
_NOT_OF_PYTORCH = ("boolean_dispatch", "has_torch_function", "handle_torch_function")


class UnknownFunctionError(Exception):
    """There is no such function among those that a capsule may name."""


def function_named(name: str) -> Callable[..., Any]:
    """The function of this name.

    >>> function_named("torch.cat") is torch.cat
    True
    >>> function_named("torch.load")
    Traceback (most recent call last):
    tensorcheck.capturing.functions.UnknownFunctionError: `torch.load` is none of the functions that a capsule may call
    """
    space, _, attribute = name.rpartition(".")
    if name == "bool":
        return bool
    found = getattr(_SPACES.get(space), attribute, None) if _is_allowed(space, attribute) else None
    if not callable(found):
        msg = f"`{name}` is none of the functions that a capsule may call"
        raise UnknownFunctionError(msg)
    function: Callable[..., Any] = found
    return function


def name_of(function: object) -> str:
    """The name by which a capsule calls a function; empty where it may not.

    >>> name_of(torch.nn.functional.cross_entropy), name_of(torch.save)
    ('torch.nn.functional.cross_entropy', '')
    """
    if function is bool:
        return "bool"
    attribute = getattr(function, "__name__", "")
    for space, owner in _SPACES.items():
        found = getattr(owner, attribute, None) if _is_allowed(space, attribute) else None
        # A function that is listened to wraps the original.
        if found is not None and (found is function or getattr(found, "__wrapped__", None) is function):
            return f"{space}.{attribute}"
    return ""


def _is_allowed(space: str, name: str) -> bool:  # noqa: PLR0911 - one answer for each place
    if not name or name.startswith(("_", *_LOW_LEVEL)) or name in _FILES_OR_MEMORY:
        return False
    match space:
        case "torch":
            return name in _OF_TORCH
        case "torch.nn.functional":
            return _is_functional(name)
        case "torch.linalg" | "torch.fft" | "torch.special":
            return name.islower() and callable(getattr(_SPACES[space], name, None))
        case "torch.nn.utils.rnn":
            return name in _PACKING
        case "torch.Tensor":
            return name in dir(Tensor) and name not in _METHODS_THAT_DO_MORE
        case "operator":
            return name in _COMPUTING
    return False


def _is_functional(name: str) -> bool:
    found = getattr(functional, name, None)
    owner = str(getattr(found, "__module__", ""))
    is_computing = owner in ("torch", "torch.nn.functional", "torch._C._nn", "torch._jit_internal")
    return is_computing and not isinstance(found, type) and not name.startswith(_NOT_OF_PYTORCH)
