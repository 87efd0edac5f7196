"""`tensorcheck.simulate_device`: an accelerator that is not there."""

import itertools
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack, _pop_mode, _push_mode

from tensorcheck.devices.answers import replace_answers, replace_shared_answers
from tensorcheck.devices.autocasting import Autocasting
from tensorcheck.devices.factories import replace_factories
from tensorcheck.devices.generators import SimulatedGenerator
from tensorcheck.devices.layers import replace_layers
from tensorcheck.devices.legacy import replace_classes
from tensorcheck.devices.mode import Placing
from tensorcheck.devices.moving import BringBack, replace_methods
from tensorcheck.devices.replacing import Replacements
from tensorcheck.devices.scope import HERE, KINDS, Simulation
from tensorcheck.devices.storages import replace_storages


class simulate_device:  # noqa: N801 - it is called like a function, and entered like `torch.device`
    """Within, this machine has `count` accelerators of this kind, with all their rules; they are the CPU.

    Values, gradients and training are real. What crosses devices raises what a real accelerator raises. It holds in
    this thread and in those that are started inside, and leaves nothing behind: a tensor that was on a simulated
    device is on the CPU again, where it always was.

    >>> import torch
    >>> with simulate_device("cuda"):
    ...     weight = torch.ones(3, device="cuda")
    ...     print(weight.device, torch.cuda.is_available())
    ...     weight + torch.ones(3)
    Traceback (most recent call last):
        ...
    RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!
    >>> weight.device
    device(type='cpu')
    """

    def __init__(self, kind: str = "cuda", count: int = 1) -> None:
        self._kind, self._count = _checked(kind, count)
        self._entered: list[Simulation] = []

    def __enter__(self) -> None:
        self._entered.append(_PROCESS.enter(self._kind, self._count))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _PROCESS.leave(self._entered.pop())


def _checked(kind: str, count: int) -> tuple[str, int]:
    if kind not in KINDS:
        msg = f"kind: {kind!r} can't be simulated; the accelerators that can are {', '.join(KINDS)}"
        raise ValueError(msg)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        msg = f"count: at least one device is needed, and {count!r} came"
        raise ValueError(msg)
    if kind == "mps" and count > 1:
        msg = f"count: there is one mps device in a machine, and {count} came"
        raise ValueError(msg)
    return kind, count


class _Process:
    """What is replaced in this process, for as long as any thread simulates anything."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._replacements: dict[str, tuple[int, Replacements]] = {}
        self._keys = itertools.count()
        self._key = ""
        self.autocasting = Autocasting()

    def enter(self, kind: str, count: int) -> Simulation:
        """Begin to simulate, in the running thread."""
        _tell_of_a_real_one(kind)
        with self._lock:
            if not self._replacements:
                self._key = f"_simulated_place_{next(self._keys)}"
            self._hold("", _replace_all)
            self._hold(kind, lambda replacements: _replace_module(replacements, kind))
        simulation = Simulation(kind, count, self._key)
        _begin((*HERE.simulations, simulation))
        return simulation

    def leave(self, simulation: Simulation) -> None:
        """End this simulation, whichever else goes on."""
        _end(simulation)
        with self._lock:
            self._release(simulation.kind)
            self._release("")
            if not self._replacements:
                self.autocasting.undo()

    def _hold(self, name: str, replace: Callable[[Replacements], None]) -> None:
        holders, replacements = self._replacements.get(name, (0, Replacements()))
        if not holders:
            replace(replacements)
        self._replacements[name] = (holders + 1, replacements)

    def _release(self, name: str) -> None:
        holders, replacements = self._replacements.pop(name)
        if holders > 1:
            self._replacements[name] = (holders - 1, replacements)
        else:
            replacements.undo()


def _replace_module(replacements: Replacements, kind: str) -> None:
    replace_answers(replacements, kind)
    replace_classes(replacements, kind)


def _replace_all(replacements: Replacements) -> None:
    replace_methods(replacements)
    replace_factories(replacements)
    replace_storages(replacements)
    replace_layers(replacements)
    replace_shared_answers(replacements)
    replacements.put(torch, "Generator", SimulatedGenerator)
    replacements.wrap(torch.autocast, "__enter__", _autocast_entered)
    replacements.wrap(torch.autocast, "__exit__", _autocast_left)
    replacements.put(threading.Thread, "_bootstrap_inner", _bootstrap_inner(threading.Thread._bootstrap_inner))  # type: ignore[attr-defined]
    replacements.put(threading.Thread, "start", _start(threading.Thread.start))


def _autocast_entered(original: Callable[..., Any], self: torch.autocast) -> Any:
    result = original(self)
    _PROCESS.autocasting.follow()
    return result


def _autocast_left(original: Callable[..., Any], self: torch.autocast, *error: Any) -> Any:
    result = original(self, *error)
    _PROCESS.autocasting.follow()
    return result


class _Local(threading.local):
    """What of ours stands in the running thread."""

    bring_back: BringBack
    default_device: torch.device | None


_LOCAL = _Local()
_PROCESS = _Process()


def _begin(simulations: tuple[Simulation, ...]) -> None:
    """Let these hold in the running thread."""
    is_first = not HERE.simulations
    HERE.simulations, HERE.key = simulations, simulations[-1].key
    if is_first:
        HERE.current, HERE.is_used = {}, False
        _LOCAL.bring_back = BringBack()
        _LOCAL.default_device = getattr(torch.utils._device, "CURRENT_DEVICE", None)
        HERE.mode = Placing(_LOCAL.bring_back)
        HERE.mode.__enter__()  # type: ignore[no-untyped-call]  # of torch


def _end(simulation: Simulation) -> None:
    HERE.simulations = tuple(each for each in HERE.simulations if each is not simulation)
    HERE.current.pop(simulation.kind, None)
    if HERE.simulations:
        return
    if HERE.mode is not None:
        _leave_mode(HERE.mode)
    HERE.mode = None
    _LOCAL.bring_back.undo()
    _PROCESS.autocasting.leave()
    _restore_default_device(simulation.kind)
    HERE.key = ""


def _leave_mode(mode: TorchDispatchMode) -> None:
    """Take it out from wherever it is: what the user entered since may not be left yet."""
    above = []
    while (stack := _get_current_dispatch_mode_stack()) and stack[-1] is not mode:
        above.append(_pop_mode())
    if stack:
        mode.__exit__(None, None, None)
    for other in reversed(above):
        _push_mode(other)


def _restore_default_device(kind: str) -> None:
    """A default device that is there no more is none."""
    now = getattr(torch.utils._device, "CURRENT_DEVICE", None)
    if now is not None and now.type == kind and now != _LOCAL.default_device:
        torch.set_default_device(_LOCAL.default_device)


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: threading.Thread) -> None:
        if HERE.simulations:
            vars(self)[_INHERITED] = HERE.simulations
        original(self)

    return start


def _bootstrap_inner(original: Callable[..., Any]) -> Callable[..., Any]:
    def bootstrap_inner(self: threading.Thread) -> None:
        inherited = vars(self).pop(_INHERITED, None)
        if inherited is None:
            original(self)
            return
        _begin(inherited)
        original(self)

    return bootstrap_inner


_INHERITED = "_tensorcheck_simulations"


def _tell_of_a_real_one(kind: str) -> None:
    """A machine that has such a device is told that it is not used."""
    module = torch.backends.mps if kind == "mps" else getattr(torch, kind)
    if HERE.simulations or not module.is_available():
        return
    warnings.warn(f"a real {kind} device is here; it is not used while one is simulated", RuntimeWarning, stacklevel=4)
