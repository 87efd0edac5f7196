"""Keeping a function mode of ours on PyTorch's stack of modes without anybody noticing.

A mode that is left with `__exit__` pops whatever is on top, which may by then be the user's. So ours goes to the
bottom, above the context of `set_default_device` alone, and is taken out from wherever it is. The context of
`with torch.device(…)` is of the same class, but it is left as the others are.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._C import _len_torch_function_stack
from torch.compiler import is_compiling
from torch.jit._trace import is_tracing
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils._device import DeviceContext

_LEFT: list[TorchFunctionMode] = []
"""Modes that are done, and are on a stack where they could not be seen when they were to be taken out."""


def is_capturing() -> bool:
    """Whether something in this process was compiled, or a trace of PyTorch's own is being made of what runs now."""
    return _something_is_compiled() or is_capturing_now()


def is_capturing_now() -> bool:
    """Whether a trace of PyTorch's own is being made of what runs now."""
    return is_compiling() or is_tracing() or _is_fx_tracing() or _is_making_fx()


def _is_fx_tracing() -> bool:
    module = sys.modules.get("torch.fx._symbolic_trace")
    asked = getattr(module, "is_fx_symbolic_tracing", None)  # torch 2.6 has the flag alone
    return bool(asked() if asked is not None else getattr(module, "_is_fx_tracing_flag", False))


def _is_making_fx() -> bool:
    """Whether `make_fx` runs; its module, which takes most of a second to import, is there if it does."""
    module = sys.modules.get("torch.fx.experimental.proxy_tensor")
    return module is not None and module.get_proxy_mode() is not None


def _something_is_compiled() -> bool:
    """Whether `torch.compile` was used; the same table has what is kept from compilation, without a backend."""
    frames = sys.modules.get("torch._dynamo.eval_frame")
    return any(callable(backend) for backend in getattr(frames, "cached_backends", {}).values())


def insert_at_bottom(mode: TorchFunctionMode) -> None:
    """Put a mode below those of the user."""
    _take_out_those_left()
    if not _len_torch_function_stack():
        _push_mode(mode)
        return
    above, default = _take_all(), _default_device()
    while above and default is not None and above[-1] is default:
        _push_mode(above.pop())
    _push_mode(mode)
    _put_back(above)


def _default_device() -> object:
    """The context of `set_default_device`, where it was called on this thread."""
    return getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)  # noqa: SLF001 - there is no other way to tell


def remove(mode: TorchFunctionMode) -> bool:
    """Take a mode out from wherever it is on this thread's stack; False if it is not there.

    Inside of a mode's own handler it is not, nor inside what that calls: of ours, that is all that `backward` runs.
    """
    _take_out_those_left()
    return _take_out(mode)


def remove_later(mode: TorchFunctionMode) -> None:
    """Take a mode that `remove` did not see out as soon as a mode of ours comes or goes on its thread.

    That is how it is where the garbage collector ends a session within the session's own handler.
    """
    if mode not in _LEFT:
        _LEFT.append(mode)


def _take_out_those_left() -> None:
    _LEFT[:] = [mode for mode in _LEFT if not _take_out(mode)]


def _take_out(mode: TorchFunctionMode) -> bool:
    above, is_found = [], False
    for _ in range(_len_torch_function_stack()):
        other = _pop_mode()
        is_found = other is mode
        if is_found:
            break
        above.append(other)
    _put_back(above)
    return is_found


@contextmanager
def all_off() -> Iterator[None]:
    """Within, no mode of anybody's is on this thread's stack but those that say where new tensors are made."""
    above = _take_all()
    _put_back([mode for mode in above if isinstance(mode, DeviceContext)])
    try:
        yield
    finally:
        _take_all()
        _put_back(above)


def _take_all() -> list[TorchFunctionMode]:
    """Empty the stack; the modes from the top to the bottom."""
    return [_pop_mode() for _ in _get_current_function_mode_stack()]


def _put_back(modes: list[TorchFunctionMode]) -> None:
    for mode in reversed(modes):
        _push_mode(mode)
