"""Finds the models of a whole process: what an optimizer is built for, and what is called by no other module.

Modules are written down as they are built. `gc` is asked only where an optimizer holds parameters of none of those, as
after `torch.load` of a whole model or a `deepcopy`: it goes through every object of the process.
"""

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer

from tensorcheck.events.event import Event
from tensorcheck.observe.births import Births
from tensorcheck.observe.heap import living
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink

_ENOUGH_STEPS = 3
"""Steps after which each model that a training calls was called."""
_WRAPPERS = (DataParallel, DistributedDataParallel)
"""What only calls the model that it holds as `module`."""


class ModelFinder(Probe):
    """Adopts the outermost modules that hold what optimizers hold, or that are called by themselves."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset()

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.births = Births()

    def attach(self, handles: ExitStack) -> None:
        """Hear every module that is built and, until training has begun, every call of one."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "__init__", self.births))
        calls = handles.enter_context(ExitStack())
        calls.enter_context(PATCHES.patch_attribute(nn.Module, "__call__", _Calls(self, calls)))

    def adopt_models_of(self, optimizer: Optimizer) -> None:
        """Watch the models that an optimizer holds parameters of."""
        held = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
        wanted = held - {id(tensor) for subject in self.sink.subjects for _, tensor in subject.parameters()}
        if not wanted:
            return
        modules = self.births.modules()
        missing = wanted - {id(tensor) for module in modules for tensor in _own(module)}
        self._adopt(_outermost([*modules, *(_all_modules() if missing else ())], wanted))

    def adopt_called(self, module: nn.Module) -> None:
        """Watch the model that this is, or is a part of, unless it is watched or has no parameters."""
        if any(subject.path_of(module) is not None for subject in self.sink.subjects):
            return
        held = {id(tensor) for tensor in module.parameters()}
        if held:
            self._adopt(_outermost([*self.births.modules(), module], held))

    def _adopt(self, models: Sequence[nn.Module]) -> None:
        watched = {id(subject.model()) for subject in self.sink.subjects}
        for model in models:
            if id(_unwrapped(model)) not in watched:
                self.sink.adopt(_unwrapped(model))


class _Calls(Listener):
    """Hears the calls of modules; those that no other module makes are of models."""

    def __init__(self, finder: ModelFinder, handles: ExitStack) -> None:
        self._finder = finder
        self._handles = handles
        self._depth = _Depth()
        self._met: dict[int, weakref.ref[nn.Module]] = {}

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A module is about to be called."""
        self._depth.value += 1
        if self._depth.value > 1:
            return
        module = args[0]
        known = self._met.get(id(module))
        if known is None or known() is not module:
            self._met[id(module)] = weakref.ref(module)
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look at parameters
                self._finder.adopt_called(module)
        if self._finder.sink.step >= _ENOUGH_STEPS:
            self._handles.close()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """It is done."""
        self._depth.value = max(self._depth.value - 1, 0)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """It is done."""
        self._depth.value = max(self._depth.value - 1, 0)

    def fault(self, error: Exception) -> None:
        """No more models are found by their calls."""
        self.is_off = True
        self._finder.fault(error)


class _Depth(threading.local):
    """How many calls of modules are under way on the running thread."""

    value = 0


def _outermost(modules: Sequence[nn.Module], held: set[int]) -> list[nn.Module]:
    """The modules that hold any of these parameters, somewhere below, and that no other of the modules holds."""
    by_id = {id(module): module for module in modules}
    parents: dict[int, list[int]] = {}
    for module in by_id.values():
        for child in module._modules.values():  # noqa: SLF001 - its own, and no property is run
            parents.setdefault(id(child), []).append(id(module))
    roots: dict[int, nn.Module] = {}
    for module in by_id.values():
        if any(id(tensor) in held for tensor in _own(module)):
            roots.update((root, by_id[root]) for root in _roots_above(id(module), parents))
    return list(roots.values())


def _roots_above(module: int, parents: dict[int, list[int]]) -> Iterator[int]:
    open_ones, met = [module], {module}
    while open_ones:
        each = open_ones.pop()
        above = parents.get(each, ())
        if not above:
            yield each
        open_ones += [parent for parent in above if parent not in met]
        met.update(above)


def _own(module: nn.Module) -> Iterator[Tensor]:
    return (tensor for tensor in module._parameters.values() if tensor is not None)  # noqa: SLF001 - runs no property


def _unwrapped(model: nn.Module) -> nn.Module:
    """The user's own model, where this is one that was compiled or made parallel."""
    if "_orig_mod" in model._modules:  # noqa: SLF001 - the only sign of a compiled one
        return _unwrapped(model.get_submodule("_orig_mod"))
    return _unwrapped(model.module) if isinstance(model, _WRAPPERS) else model


def _all_modules() -> list[nn.Module]:
    return [module for module in living(nn.Module) if "_modules" in vars(module)]
