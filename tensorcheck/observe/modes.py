"""Keeping a function mode of ours on PyTorch's stack of modes without anybody noticing.

A mode that is left with `__exit__` pops whatever is on top, which may by then be the user's. So ours goes to the
bottom, above the context of `set_default_device` alone, and is taken out from wherever it is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch.compiler import is_compiling
from torch.fx._symbolic_trace import is_fx_symbolic_tracing
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.jit._trace import is_tracing
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils._device import DeviceContext


def is_capturing() -> bool:
    """Whether something in this process was compiled, or a trace of PyTorch's own is being made of what runs now."""
    return (
        _something_is_compiled()
        or is_compiling()
        or is_tracing()
        or is_fx_symbolic_tracing()
        or get_proxy_mode() is not None
    )


def _something_is_compiled() -> bool:
    """Whether `torch.compile` was used; the same table has what is kept from compilation, without a backend."""
    frames = sys.modules.get("torch._dynamo.eval_frame")
    return any(callable(backend) for backend in getattr(frames, "cached_backends", {}).values())


def is_on_stack(mode: TorchFunctionMode) -> bool:
    """Whether the mode is on this thread's stack; it can't be seen inside `backward` or a mode's own handler."""
    return any(other is mode for other in _get_current_function_mode_stack())


def insert_at_bottom(mode: TorchFunctionMode) -> None:
    """Put a mode below those of the user."""
    above = _take_all()
    while above and isinstance(above[-1], DeviceContext):
        _push_mode(above.pop())
    _push_mode(mode)
    _put_back(above)


def remove(mode: TorchFunctionMode) -> bool:
    """Take a mode out from wherever it is on this thread's stack; False if it is not there."""
    if not is_on_stack(mode):
        return False
    _put_back([other for other in _take_all() if other is not mode])
    return True


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
