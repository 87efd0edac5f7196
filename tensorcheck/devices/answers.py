"""What `torch.cuda`, its likes and `torch.accelerator` answer while their devices are simulated."""

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tensorcheck.devices.replacing import Replacements
from tensorcheck.devices.scope import HERE, current, raise_no_such_device, simulated, wanted
from tensorcheck.devices.streams import Event, Stream

_MEMORY = 80 * 1024**3
"""What a device says that it has, in bytes."""


def replace_answers(replacements: Replacements, kind: str) -> None:
    """Let the module of this kind of device answer as if there were some."""
    module = getattr(torch, kind)
    for name, answer in _answers(kind).items():
        replacements.ask(module, name, answer, kind)
    if kind == "mps":
        replacements.ask(torch.backends.mps, "is_available", _always(True), kind)
        return
    replacements.put(module, "Stream", _stream_of(kind))
    replacements.put(module, "Event", Event)
    _replace_where_it_is_defined(replacements, module)


def replace_shared_answers(replacements: Replacements) -> None:
    """Let what is asked for any accelerator answer too."""
    for name, answer in _ACCELERATOR.items():
        replacements.ask(torch.accelerator, name, answer)
    replacements.ask(torch.backends.cudnn, "is_acceptable", _always(False))


def _replace_where_it_is_defined(replacements: Replacements, module: ModuleType) -> None:
    """Some functions are imported into the module, and called by others in the file that they are from."""
    for part in ("random", "memory"):
        inner = getattr(module, part, None)
        for name in _answers(module.__name__.rpartition(".")[2]):
            if inner is not None and name in vars(inner) and name in vars(module):
                replacements.put(inner, name, vars(module)[name])


def _answers(kind: str) -> dict[str, Callable[..., Any]]:
    return {
        "is_available": _always(True),
        "is_initialized": _always(True),
        "init": _nothing,
        "_lazy_init": _nothing,
        "_lazy_call": _nothing,
        "_is_in_bad_fork": _always(False),
        "device_count": lambda: _count(kind),
        "current_device": lambda: current(kind).index,
        "set_device": lambda device: _set_current(kind, device),
        "_exchange_device": lambda index: _exchange(kind, index),
        "_maybe_exchange_device": lambda index: _exchange(kind, index),
        "get_device_name": _always(f"tensorcheck's simulated {kind} device"),
        "get_device_capability": _always((8, 0)),
        "get_device_properties": lambda device=None: _properties(kind, device),
        "can_device_access_peer": _always(True),
        "is_bf16_supported": _always(True),
        "get_arch_list": _always(["sm_80"]),
        "is_current_stream_capturing": _always(False),
        "synchronize": _nothing,
        "ipc_collect": _nothing,
        "empty_cache": _nothing,
        "current_stream": lambda device=None: _stream_of(kind)(device),
        "default_stream": lambda device=None: _stream_of(kind)(device),
        "set_stream": _nothing,
        "stream": _stream,
        **dict.fromkeys(_SEEDS, _nothing),
        "initial_seed": torch.initial_seed,
        "get_rng_state": _random_state,
        "get_rng_state_all": lambda: [torch.get_rng_state() for _ in range(_count(kind))],
        "set_rng_state": _nothing,
        "set_rng_state_all": _nothing,
        **dict.fromkeys(_AMOUNTS, _always(0)),
        **dict.fromkeys(_RESETS, _nothing),
        "memory_stats": _no_statistics,
        "memory_summary": _always("nothing is allocated on a simulated device"),
        "mem_get_info": _always((_MEMORY, _MEMORY)),
        "set_per_process_memory_fraction": _nothing,
    }


_SEEDS = ("manual_seed", "manual_seed_all", "seed", "seed_all")
"""Numbers for a simulated device are drawn by the CPU's own generator, which `torch.manual_seed` seeds."""
_AMOUNTS = ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved", "memory_cached")
_RESETS = ("reset_peak_memory_stats", "reset_accumulated_memory_stats", "reset_max_memory_allocated")


def _always(value: object) -> Callable[..., Any]:
    """The same answer, whatever is asked."""
    return lambda *_, **__: value


def _no_statistics(*_: object) -> dict[str, int]:
    """Nothing is counted."""
    return defaultdict(int)


def _random_state(*_: object) -> Tensor:
    """Of what draws for a simulated device."""
    return torch.get_rng_state()


def _accelerator(check_available: bool = False) -> torch.device:
    return torch.device(_kind())


def _nothing(*_: object, **__: object) -> None:
    """There is nothing to do."""


def _count(kind: str) -> int:
    simulation = simulated(kind)
    return simulation.count if simulation is not None else 0


def _index_of(kind: str, device: object) -> int:
    if device is None:
        return int(current(kind).index)
    place = wanted(torch.device(kind, device) if isinstance(device, int) else device)
    if place is None or place.type != kind:
        msg = f"Expected a {kind} device, but got: {device}"
        raise ValueError(msg)
    return int(place.index)


def _set_current(kind: str, device: object) -> None:
    if isinstance(device, int) and device < 0:
        return
    HERE.current[kind] = _index_of(kind, device)


def _exchange(kind: str, index: int) -> int:
    before = int(current(kind).index)
    if index >= 0:
        if index >= _count(kind):
            raise_no_such_device(kind)
        HERE.current[kind] = index
    return before


def _properties(kind: str, device: object) -> SimpleNamespace:
    _index_of(kind, device)
    return SimpleNamespace(
        name=f"tensorcheck's simulated {kind} device",
        major=8,
        minor=0,
        total_memory=_MEMORY,
        multi_processor_count=1,
        warp_size=32,
    )


@functools.cache
def _stream_of(kind: str) -> type[Stream]:
    return type("Stream", (Stream,), {"kind": kind})


@contextmanager
def _stream(stream: object) -> Iterator[None]:
    """What runs on a stream runs at once."""
    yield


def _kind() -> str:
    return HERE.simulations[-1].kind


class _DeviceIndex:
    """`torch.accelerator.device_index`."""

    def __init__(self, device: int | None, /) -> None:
        self._index = device
        self._before = -1

    def __enter__(self) -> None:
        if self._index is not None:
            self._before = _exchange(_kind(), self._index)

    def __exit__(self, *_: object) -> None:
        if self._index is not None:
            _exchange(_kind(), self._before)


_ACCELERATOR: dict[str, Callable[..., Any]] = {
    "is_available": _always(True),
    "current_accelerator": _accelerator,
    "device_count": lambda: _count(_kind()),
    "current_device_index": lambda: current(_kind()).index,
    "current_device_idx": lambda: current(_kind()).index,
    "set_device_index": lambda device, /: _set_current(_kind(), device),
    "set_device_idx": lambda device, /: _set_current(_kind(), device),
    "device_index": _DeviceIndex,
    "current_stream": lambda device=None, /: _stream_of(_kind())(device),
    "set_stream": _nothing,
    "synchronize": _nothing,
    "empty_cache": _nothing,
    **dict.fromkeys(_AMOUNTS[:4], _always(0)),
    **dict.fromkeys(_RESETS[:2], _nothing),
    "memory_stats": _no_statistics,
    "get_memory_info": _always((_MEMORY, _MEMORY)),
}
