"""Which accelerators are simulated for the running thread, and which of their devices is the current one.

A simulation holds in the thread that entered it and in those that are started inside, so everything here belongs to a
thread. What is replaced in PyTorch is replaced for the whole process, and asks here first.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, _pop_mode, _push_mode

KINDS = ("cuda", "xpu", "mps")
"""The accelerators that can be simulated."""
PHYSICAL = torch.device("cpu")
"""What is on no simulated device is here; and all of it really is, unless a simulation is on the meta device."""
META = torch.device("meta")


@dataclass(frozen=True, slots=True)
class Simulation:
    """One kind of accelerator, and how many of it there are."""

    kind: str
    count: int
    key: str
    """The attribute of a storage that says on which device it is meant to be."""

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Its devices, by their numbers."""
        return tuple(torch.device(self.kind, index) for index in range(self.count))


class _Here(threading.local):
    """What holds in the running thread."""

    simulations: tuple[Simulation, ...] = ()
    """The innermost is last."""
    key = ""
    """That of all simulations of this thread; empty where nothing is simulated."""
    mode: TorchDispatchMode | None = None
    """What holds this thread's operations to the rules."""
    is_used = False
    """Whether a simulated device was asked for."""
    is_forked = False
    """Whether this process was forked while something was simulated."""
    target: torch.device | None = None
    """Where the copy that is being made is meant to be."""
    physical = PHYSICAL
    """Where everything really is: on the CPU, or on the meta device, where nothing is allocated."""

    def __init__(self) -> None:
        self.current: dict[str, int] = {}
        """The current device of each kind."""


HERE = _Here()


def _forked() -> None:
    HERE.is_forked = bool(HERE.simulations)


os.register_at_fork(after_in_child=_forked)


def simulated(kind: str) -> Simulation | None:
    """The innermost simulation of this kind of device."""
    return next((each for each in reversed(HERE.simulations) if each.kind == kind), None)


def current(kind: str) -> torch.device:
    """The device that `kind` alone means now."""
    return torch.device(kind, HERE.current.get(kind, 0))


def wanted(device: Any) -> torch.device | None:
    """The simulated device that is asked for, with its number; None for a device that is real."""
    if not HERE.simulations or device is None:
        return None
    asked: Any = _device(device)
    simulation = simulated(asked.type)
    if simulation is None:
        return None
    if HERE.is_forked and HERE.is_used:
        raise_forked(asked.type)
    HERE.is_used = True
    if asked.index is None:
        return current(asked.type)
    if asked.index >= simulation.count:
        raise_no_such_device(asked.type)
    return torch.device(asked)


def _device(device: Any) -> torch.device:
    if isinstance(device, torch.device):
        return device
    if isinstance(device, int) and not isinstance(device, bool):
        return torch.device(HERE.simulations[-1].kind, device)
    return torch.device(device)  # it says what it does not know


def raise_no_such_device(kind: str) -> None:
    """What PyTorch raises for a number that no device has."""
    if kind == "cuda":
        msg = (
            "CUDA error: invalid device ordinal\nGPU device may be out of range, do you have enough GPUs?\n"
            "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might "
            "be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` "
            "to enable device-side assertions.\n"
        )
    else:
        msg = f"The device index is out of range. It must be in [0, {simulated(kind).count}) for {kind}."  # type: ignore[union-attr]
    raise getattr(torch, "AcceleratorError", RuntimeError)(msg)


def raise_forked(kind: str) -> None:
    """What PyTorch raises in a worker that was forked from a process which uses the device."""
    msg = (
        f"Cannot re-initialize {kind.upper()} in forked subprocess. To use {kind.upper()} with multiprocessing, "
        "you must use the 'spawn' start method"
    )
    raise RuntimeError(msg)


@contextmanager
def really_on(device: torch.device) -> Iterator[None]:
    """Within, what a simulation makes really is on this device, the CPU or the meta device."""
    before, HERE.physical = HERE.physical, device
    try:
        yield
    finally:
        HERE.physical = before


@contextmanager
def nothing_simulated() -> Iterator[None]:
    """Within, every device is the real one."""
    simulations, key, target = HERE.simulations, HERE.key, HERE.target
    HERE.simulations, HERE.key, HERE.target = (), "", None
    try:
        yield
    finally:
        HERE.simulations, HERE.key, HERE.target = simulations, key, target


@contextmanager
def outside() -> Iterator[None]:
    """Within, nothing is simulated and no dispatch mode is on."""
    with nothing_simulated(), _disable_current_modes():
        yield


@contextmanager
def no_modes_but_ours() -> Iterator[None]:
    """Within, no dispatch mode of anybody's is on, and what is simulated still is."""
    with _disable_current_modes():
        if HERE.mode is None:
            yield
            return
        _push_mode(HERE.mode)
        try:
            yield
        finally:
            _pop_mode()
