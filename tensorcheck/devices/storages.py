"""Saving, loading and copying: a storage knows its simulated device, so a checkpoint says it and a copy keeps it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import UntypedStorage

from tensorcheck.devices.places import place_of_storage, put_storage
from tensorcheck.devices.replacing import Replacements
from tensorcheck.devices.scope import HERE, current, simulated, wanted

_device: Any = vars(torch._C.StorageBase)["device"]


def replace_storages(replacements: Replacements) -> None:
    """Let storages say where they are meant to be; `torch.save` and `torch.load` ask nothing else."""
    replacements.put(UntypedStorage, "device", property(_device_of))
    replacements.put(UntypedStorage, "is_cuda", property(lambda storage: _device_of(storage).type == "cuda"))
    for name, make in (("clone", _clone), ("to", _to), ("cuda", _cuda), ("cpu", _cpu), ("is_pinned", _is_pinned)):
        replacements.wrap(UntypedStorage, name, make)
    replacements.wrap(torch._C, "_group_tensors_by_device_and_dtype", _grouped)


def _device_of(storage: UntypedStorage) -> torch.device:
    return (place_of_storage(storage) if HERE.key else None) or _device.__get__(storage)


def _copy(storage: UntypedStorage, place: torch.device | None) -> UntypedStorage:
    copy = UntypedStorage(storage.nbytes()).copy_(storage)
    put_storage(copy, place)
    return copy


def _clone(original: Callable[..., Any], storage: UntypedStorage) -> UntypedStorage:
    place = place_of_storage(storage)
    return original(storage) if place is None else _copy(storage, place)


def _to(original: Callable[..., Any], storage: UntypedStorage, *, device: Any, non_blocking: bool = False) -> Any:
    place = wanted(device)
    if place is None and place_of_storage(storage) is None:
        return original(storage, device=device, non_blocking=non_blocking)
    return storage if place == place_of_storage(storage) else _copy(storage, place)


def _cuda(original: Callable[..., Any], storage: UntypedStorage, device: Any = None, non_blocking: bool = False) -> Any:
    if simulated("cuda") is None:
        return original(storage, device, non_blocking)
    return storage.to(device=current("cuda") if device is None else device)


def _cpu(_: Callable[..., Any], storage: UntypedStorage) -> UntypedStorage:
    return storage if place_of_storage(storage) is None else _copy(storage, None)


def _is_pinned(original: Callable[..., Any], storage: UntypedStorage, device: Any = None) -> bool:
    return False


def _grouped(original: Callable[..., Any], lists: list[list[Any]], with_indices: bool = False) -> dict[Any, Any]:
    """Which tensors of an optimizer are treated together: those of one device and dtype."""
    groups: dict[Any, Any] = {}
    for index, first in enumerate(lists[0]):
        columns, indices = groups.setdefault((first.device, first.dtype), ([[] for _ in lists], []))
        for column, each in zip(columns, lists, strict=True):
            column.extend(each[index : index + 1])  # a list may be empty
        if with_indices:
            indices.append(index)
    return groups
