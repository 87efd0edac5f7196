"""Copies from device to device: what is moved is copied where it is, and its gradient is moved back."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tensorcheck.devices import places
from tensorcheck.devices.places import place_of
from tensorcheck.devices.replacing import Replacements
from tensorcheck.devices.scope import HERE, META, PHYSICAL, current, simulated, wanted
from tensorcheck.devices.words import not_for_numpy, type_name

_to: Any = torch._C.TensorBase.to
_device: Any = torch._C.TensorBase.device
_requires_grad: Any = torch._C.TensorBase.requires_grad


def device_of(tensor: Tensor) -> torch.device:
    """Where a tensor is, for whoever asks it."""
    return (place_of(tensor) if HERE.key else None) or _place_of_rest(_device.__get__(tensor))


def _place_of_rest(device: torch.device) -> torch.device:
    """Where a tensor is that is on no simulated device: on the CPU, if all that is on it really is elsewhere."""
    return PHYSICAL if HERE.simulations and device == HERE.physical else device


@contextmanager
def made_on(device: torch.device | None) -> Iterator[None]:
    """Within, what is made is meant to be on this device."""
    before, HERE.target = HERE.target, device
    try:
        yield
    finally:
        HERE.target = before


def moved(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None, **options: Any) -> Tensor:
    """A copy on another device, whose gradient comes back to this one."""
    source = device_of(tensor)
    real = HERE.physical if simulated(device.type) or device.type == PHYSICAL.type else device
    options.pop("copy", None)
    with made_on(device):
        copy: Tensor = _to(tensor, real, dtype or tensor.dtype, options.pop("non_blocking", False), True, **options)
    places.put(copy, device if simulated(device.type) else None)
    node = copy.grad_fn
    if node is not None:
        node.register_hook(functools.partial(_moved_back, source))
    return copy


def _moved_back(
    source: torch.device, gradients: tuple[Tensor | None, ...], _: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    return tuple(moved(each, source) if each is not None and device_of(each) != source else each for each in gradients)


def without_values(tensor: Tensor) -> Tensor:
    """The same on the meta device, and where it is meant to be."""
    with made_on(None):
        copy: Tensor = _to(tensor.detach(), META, tensor.dtype, False, True)
    places.put(copy, place_of(tensor))
    return copy.requires_grad_(_requires_grad.__get__(tensor))


class BringBack:
    """Numbers from the CPU that an operation of another device took along: their gradients come back to the CPU."""

    def __init__(self) -> None:
        self._handles: list[Any] = []

    def __call__(self, tensor: Tensor, place: torch.device) -> None:
        """Let the gradient of this tensor be where the tensor is."""

        def back(gradient: Tensor) -> Tensor:
            return moved(gradient, place) if device_of(gradient) != place else gradient

        handle = tensor.register_hook(back)
        if tensor.is_leaf:
            self._handles.append(handle)

    def undo(self) -> None:
        """Take the hooks off the tensors that outlive their graphs."""
        while self._handles:
            self._handles.pop().remove()


def replace_methods(replacements: Replacements) -> None:
    """Let a tensor's methods and attributes know of the simulated devices."""
    for name, make in _METHODS.items():
        replacements.wrap(Tensor, name, make)
    replacements.put(Tensor, "device", property(device_of))
    for kind in ("cuda", "xpu", "mps", "cpu"):
        replacements.put(Tensor, f"is_{kind}", property(functools.partial(_is_on, kind)))


def _is_on(kind: str, tensor: Tensor) -> bool:
    return device_of(tensor).type == kind


def _to_method(original: Callable[..., Any], tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    asked, dtype, options = _asked(args, dict(kwargs))
    return original(tensor, *args, **kwargs) if asked is None else to_device(tensor, asked, dtype, **options)


def to_device(tensor: Tensor, asked: Any, dtype: torch.dtype | None = None, **options: Any) -> Tensor:
    """The tensor itself where it is there already, as `Tensor.to` has it, and else a copy."""
    device = wanted(asked) or (asked if isinstance(asked, torch.device) else torch.device(asked))
    if _is_there(tensor, device):
        return _to(tensor, _device.__get__(tensor), dtype or tensor.dtype, **options)  # type: ignore[no-any-return]
    return moved(tensor, device, dtype, **options)


def _is_there(tensor: Tensor, device: torch.device) -> bool:
    own = device_of(tensor)
    return own == device or (own.type == device.type == "cpu")


def _asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, torch.dtype | None, dict[str, Any]]:
    """The device, the dtype and the rest of what `Tensor.to` is called with."""
    names = ["device", "dtype", "non_blocking", "copy"]
    if (args and isinstance(args[0], Tensor)) or "other" in kwargs:
        other = kwargs.pop("other", None) if "other" in kwargs else args[0]
        named = dict(zip(["other", "non_blocking", "copy"], args, strict=False)) | kwargs
        named.pop("other", None)
        return device_of(other), other.dtype, named
    if args and isinstance(args[0], torch.dtype):
        names = ["dtype", "non_blocking", "copy"]
    named = dict(zip(names, args, strict=False)) | kwargs
    return named.pop("device", None), named.pop("dtype", None), named


def _to_kind(kind: str) -> Callable[..., Any]:
    def method(
        original: Callable[..., Any], tensor: Tensor, device: Any = None, non_blocking: bool = False, **options: Any
    ) -> Any:
        simulation = simulated(kind)
        if simulation is None:
            return original(tensor, device, non_blocking, **options)
        asked = torch.device(kind, device) if isinstance(device, int) else device
        place = current(kind) if asked is None else wanted(asked)
        if place is None or place.type != kind:
            msg = f"Invalid device, must be {kind} device"
            raise RuntimeError(msg)
        return to_device(tensor, place, non_blocking=non_blocking, **options)

    return method


def _to_cpu(_: Callable[..., Any], tensor: Tensor, **options: Any) -> Any:
    return to_device(tensor, PHYSICAL, **options)


def _type(
    original: Callable[..., Any], tensor: Tensor, dtype: Any = None, non_blocking: bool = False, **options: Any
) -> Any:
    place = place_of(tensor)
    if dtype is None:
        name = original(tensor)
        return name if place is None else type_name(name, place.type)
    if isinstance(dtype, torch.dtype):
        return original(tensor, dtype, non_blocking, **options)
    name = dtype if isinstance(dtype, str) else f"{dtype.__module__}.{dtype.__name__}"
    kind = name.split(".")[1] if name.count(".") > 1 else "cpu"
    device = PHYSICAL if kind == "cpu" else wanted(kind)
    if device is None:
        return original(tensor, dtype, non_blocking, **options)
    plain = name.replace(f"torch.{kind}.", "torch.")
    wished = original(torch.empty(0), plain).dtype
    return to_device(tensor, device, wished, non_blocking=non_blocking, **options)


def _numpy(original: Callable[..., Any], tensor: Tensor, *, force: bool = False) -> Any:
    place = place_of(tensor)
    if place is not None and not force:
        raise TypeError(not_for_numpy(place))
    return original(tensor if place is None else _to_cpu(_to, tensor.detach()), force=force)


def _get_device(original: Callable[..., Any], tensor: Tensor) -> Any:
    place = place_of(tensor)
    return original(tensor) if place is None else place.index


def _copy_(original: Callable[..., Any], tensor: Tensor, src: Any, non_blocking: bool = False) -> Any:
    return original(tensor, _with_tensor(tensor, src), non_blocking)


def _with_tensor(tensor: Tensor, value: Any) -> Any:
    """A value that is copied into a tensor elsewhere, moved first where its gradient must come back."""
    if not isinstance(value, Tensor) or not _requires_grad.__get__(value) or device_of(value) == device_of(tensor):
        return value
    return moved(value, device_of(tensor)) if value.dim() else value


def _setitem(original: Callable[..., Any], tensor: Tensor, index: Any, value: Any) -> None:
    is_place = isinstance(index, int | slice | type(None) | type(Ellipsis)) or (
        isinstance(index, tuple) and all(isinstance(each, int | slice | type(None) | type(Ellipsis)) for each in index)
    )
    original(tensor, index, _with_tensor(tensor, value) if is_place else value)


def _pin_memory(original: Callable[..., Any], tensor: Tensor, device: Any = None) -> Any:
    place = place_of(tensor)
    if place is not None:
        msg = f"cannot pin '{tensor.type()}' only dense CPU tensors can be pinned"
        raise RuntimeError(msg)
    if not HERE.simulations or places.is_pinned(tensor):
        return tensor
    copy = tensor.clone()
    places.pin(copy)
    return copy


def _is_pinned(original: Callable[..., Any], tensor: Tensor, device: Any = None) -> bool:
    return places.is_pinned(tensor)


def _record_stream(_: Callable[..., Any], tensor: Tensor, stream: object) -> None:
    """Nothing runs at another time than it is called."""


def _share_memory(original: Callable[..., Any], tensor: Tensor) -> Any:
    return original(tensor) if place_of(tensor) is None else tensor


def _is_shared(original: Callable[..., Any], tensor: Tensor) -> Any:
    return True if place_of(tensor) is not None else original(tensor)


_METHODS: dict[str, Callable[..., Any]] = {
    "to": _to_method,
    "cuda": _to_kind("cuda"),
    "xpu": _to_kind("xpu"),
    "cpu": _to_cpu,
    "type": _type,
    "numpy": _numpy,
    "get_device": _get_device,
    "copy_": _copy_,
    "__setitem__": _setitem,
    "pin_memory": _pin_memory,
    "is_pinned": _is_pinned,
    "record_stream": _record_stream,
    "share_memory_": _share_memory,
    "is_shared": _is_shared,
}
