"""Which modules got their weights from elsewhere, where and in which order: loaded into them, or read as a whole."""

import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe
from tensorcheck.sites import Site


@dataclass(frozen=True, slots=True)
class Load:
    """The last load of one module."""

    number: int
    """How many were heard before."""
    replaces: bool
    """Whether it put other tensors in the place of the parameters: `assign=True`."""
    site: Site | None


class LoadedModules(Listener):
    """Remembers the last load of each module, for as long as somebody holds that."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._loads: weakref.WeakKeyDictionary[nn.Module, Load] = weakref.WeakKeyDictionary()
        self.count = 0
        """How many loads were heard."""

    def attach(self, handles: ExitStack) -> None:
        """Patch both ways."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "load_state_dict", self))
        handles.enter_context(PATCHES.patch_attribute(torch, "load", _Reads(self)))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Weights were loaded into a module."""
        self.heard(args[0], replaces=bool(args[3] if len(args) > _ASSIGN else kwargs.get("assign", False)))

    def heard(self, module: nn.Module, *, replaces: bool) -> None:
        """A module has other weights than before, or is new."""
        self._loads[module] = Load(self.count, replaces, self._probe.sink.sites.here())
        self.count += 1

    def load_of(self, model: nn.Module, *, since: int) -> Load | None:
        """The last load of a model or a part of it, or of what it is a part of, since so many were heard."""
        own = _ids(model.parameters())
        late = [(load, module) for module, load in tuple(self._loads.items()) if load.number >= since]
        loads = [load for load, module in late if not own.isdisjoint(_ids(module.parameters()))]
        return max(loads, key=lambda load: load.number, default=None)

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._probe.fault(error)


_ASSIGN = 3
"""The place of `assign` among the arguments of `load_state_dict`."""


def _ids(things: Iterable[object]) -> set[int]:
    return {id(thing) for thing in things}


class _Reads(Listener):
    """Hears `torch.load`."""

    def __init__(self, loaded: LoadedModules) -> None:
        self._loaded = loaded

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A file was read, which may be a whole model or hold some."""
        for value in result.values() if type(result) is dict else [result]:
            if isinstance(value, nn.Module):
                self._loaded.heard(value, replaces=False)

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._loaded.fault(error)
