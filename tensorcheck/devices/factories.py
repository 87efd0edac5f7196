"""What makes tensors: the device that is asked for is where they are meant to be."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext, _device_constructors

from tensorcheck.devices.moving import device_of, made_on, to_device, without_values
from tensorcheck.devices.places import place_of, put
from tensorcheck.devices.replacing import Replacements
from tensorcheck.devices.scope import HERE, PHYSICAL, wanted

_LIKE = ("empty_like", "full_like", "ones_like", "rand_like", "randint_like", "randn_like", "zeros_like")
_NEW = ("new_empty", "new_empty_strided", "new_full", "new_ones", "new_zeros")
_FROM_DATA = ("tensor", "as_tensor", "asarray")


def replace_factories(replacements: Replacements) -> None:
    """Let everything that takes `device=` know of the simulated devices."""
    ours: dict[object, Callable[..., Any]] = {}
    for owner, name in _homes():
        original = getattr(owner, name)
        replacements.wrap(owner, name, _from_data if name in _FROM_DATA else _factory)
        ours[original] = getattr(owner, name)
    for name in _LIKE:
        replacements.wrap(torch, name, _like)
    for name in _NEW:
        replacements.wrap(Tensor, name, _like)
    replacements.wrap(Tensor, "new_tensor", _new_tensor)
    replacements.wrap(Tensor, "new", _new)
    replacements.wrap(torch, "from_dlpack", _from_dlpack)
    replacements.put(DeviceContext, "__torch_function__", _in_context(ours))


def _homes() -> Iterator[tuple[ModuleType, str]]:
    """The functions that `torch.set_default_device` changes, where they are."""
    for function in _device_constructors():
        name = function.__name__
        for owner in (torch, torch.fft, torch.nested):
            if getattr(owner, name, None) is function:
                yield owner, name
    for name in ("normal", "from_file", "logspace"):
        if getattr(torch, name) not in _device_constructors():
            yield torch, name


def _in_context(ours: dict[object, Callable[..., Any]]) -> Callable[..., Any]:
    """As the original does, with what stands in the place of the functions that it knows."""

    def torch_function(
        self: DeviceContext, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _device_constructors() or kwargs.get("device") is not None or HERE.target is not None:
            return func(*args, **kwargs)
        return ours.get(func, func)(*args, **{**kwargs, "device": self.device})

    return torch_function


def _factory(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    asked = kwargs.get("device")
    if asked is None:
        is_from_tensors = any(isinstance(each, Tensor | list) for each in args)
        return original(*args, **kwargs) if is_from_tensors else _made(original, args, kwargs)
    place = wanted(asked)
    if place is None:
        with made_on(torch.device(asked)):
            return original(*args, **kwargs)
    with made_on(place):
        return original(*args, **{**kwargs, "device": HERE.physical})


def _made(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Without a device: on the CPU, or where the default device says, which its own mode asks for."""
    if any(isinstance(mode, DeviceContext) for mode in _get_current_function_mode_stack()):
        return original(*args, **kwargs)
    with made_on(PHYSICAL):
        return original(*args, **({**kwargs, "device": HERE.physical} if HERE.physical != PHYSICAL else kwargs))


def _like(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Like a tensor, or on the device that is asked for."""
    asked = kwargs.get("device")
    if asked is None:
        return original(*args, **kwargs)
    place = wanted(asked)
    real = {**kwargs, "device": HERE.physical if place is not None else asked}
    with made_on(place or torch.device(asked)):
        return original(*args, **real)


def _from_data(original: Callable[..., Any], data: Any, *args: Any, **kwargs: Any) -> Any:
    """From values, which are let go where nothing has any; but numbers alone are kept, for they are looked at."""
    made = _from_values(original, data, *args, **kwargs)
    if HERE.physical == PHYSICAL or made.is_meta or (made.numel() == 1 and place_of(made) is None):
        return made
    return without_values(made)


def _from_values(
    original: Callable[..., Any], data: Any, *args: Any, device: Any = None, requires_grad: bool = False, **kwargs: Any
) -> Any:
    """Made on the CPU and moved, but for a tensor that is there already."""
    if device is None and isinstance(data, Tensor):
        device = device_of(data)
    if device is None or (wanted(device) is None and not _is_elsewhere(data)):
        return (
            original(data, *args, device=device, requires_grad=requires_grad, **kwargs)
            if requires_grad
            else original(data, *args, device=device, **kwargs)
        )
    if isinstance(data, Tensor) and original.__name__ != "tensor":
        dtype = kwargs.get("dtype") or (args[0] if args else None) or data.dtype
        return to_device(data, device, dtype)
    made = original(data, *args, device=PHYSICAL, **kwargs)
    return to_device(made, device).requires_grad_(requires_grad)


def _is_elsewhere(data: object) -> bool:
    return isinstance(data, Tensor) and device_of(data) != PHYSICAL


def _new_tensor(
    original: Callable[..., Any],
    tensor: Tensor,
    data: Any,
    *,
    device: Any = None,
    requires_grad: bool = False,
    **kwargs: Any,
) -> Any:
    made = original(tensor, data, **kwargs)
    return to_device(made, device_of(tensor) if device is None else device).requires_grad_(requires_grad)


def _new(original: Callable[..., Any], tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("device", None)
    with made_on(device_of(tensor)):
        return original(tensor, *args, **kwargs)


def _from_dlpack(original: Callable[..., Any], data: Any, *args: Any, **kwargs: Any) -> Any:
    made = original(data, *args, **kwargs)
    if isinstance(data, Tensor):
        put(made, place_of(data))
    return made
