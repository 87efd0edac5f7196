"""What has no operation of its own on the CPU, and is checked where it is called."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tensorcheck.devices.moving import device_of
from tensorcheck.devices.replacing import Replacements
from tensorcheck.devices.rules import recurrent, same_device
from tensorcheck.devices.scope import wanted

_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def replace_layers(replacements: Replacements) -> None:
    """Let the functions behind `nn.LSTM`, `nn.GRU` and `nn.RNN` look at where their operands are."""
    for name in _RECURRENT:
        replacements.wrap(torch._VF, name, _checked)
    replacements.wrap(torch, "compile", _not_compiled)
    replacements.wrap(torch._C._nn, "_parse_to", _parsed)
    replacements.wrap(torch.nn.functional, "scaled_dot_product_attention", _attended)


def _not_compiled(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """PyTorch compiles nothing where a dispatch mode is on, and would try to compile ours."""
    return original(*args, **{**kwargs, "disable": True})


def _parsed(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A number alone is that of an accelerator."""
    if args and isinstance(args[0], int):
        return original(wanted(args[0]), *args[1:], **kwargs)
    return original(*args, **kwargs)


def _attended(
    original: Callable[..., Any], query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> Any:
    same_device(device_of(query), device_of(key), device_of(value))
    return original(query, key, value, *args, **kwargs)


def _checked(original: Callable[..., Any], given: Tensor, *args: Any) -> Any:
    is_packed = (
        isinstance(args[0], Tensor)
        and not isinstance(args[1], bool)
        and isinstance(args[1], Tensor | Sequence)
        and isinstance(args[2], Sequence)
    )
    hidden, weights = (args[1], args[2]) if is_packed else (args[0], args[1])
    states = [hidden] if isinstance(hidden, Tensor) else list(hidden)
    others = [("hidden", device_of(each)) for each in states]
    others += [("parameter", device_of(each)) for each in weights]
    recurrent(device_of(given), others)
    return original(given, *args)
