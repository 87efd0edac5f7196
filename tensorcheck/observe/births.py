"""Where each module of the process was built."""

import weakref
from collections.abc import Iterator
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from torch import nn

from tensorcheck.observe.frames import Owner, Sites, owner_of, user_frame
from tensorcheck.observe.patches import Listener
from tensorcheck.sites import Site

_EVERY = 4096
"""After so many modules more, those that are gone are forgotten."""
_CALLERS = 8
"""Calls of the user's that are remembered of each."""
Calls = tuple[tuple[CodeType, int], ...]
"""Code objects of the user's with the instructions at which they stood, the innermost first."""


class Births(Listener):
    """Hears `nn.Module.__init__`, and remembers for each module the call that built it."""

    def __init__(self) -> None:
        self._built: dict[int, tuple[weakref.ref[nn.Module], Calls]] = {}
        self._due = _EVERY

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A module is being built: its class's constructor has come to `super().__init__()`."""
        calls = tuple(islice(_calls(_caller(args[0])), _CALLERS))
        if calls:
            self._built[id(args[0])] = (weakref.ref(args[0]), calls)
        if len(self._built) > self._due:
            self._built = {key: value for key, value in self._built.items() if value[0]() is not None}
            self._due = len(self._built) + _EVERY

    def modules(self) -> list[nn.Module]:
        """Those that are there still, and whose constructor is done with `nn.Module`'s part."""
        alive = [reference() for reference, _ in list(self._built.values())]
        return [module for module in alive if module is not None and "_modules" in vars(module)]

    def site_of(self, module: nn.Module, sites: Sites) -> Site | None:
        """The call that built it, where the user wrote that."""
        calls = self.calls_of(module)
        return sites.at(*calls[0]) if calls else None

    def calls_of(self, module: nn.Module) -> Calls:
        """That call, the one that led to it, and so on outwards; none where the user did not write it."""
        known = self._built.get(id(module))
        return known[1] if known is not None and known[0]() is module else ()

    def fault(self, error: Exception) -> None:  # noqa: ARG002 - a module that can't be referenced weakly is no loss
        """No more is written down."""
        self.is_off = True


def _calls(frame: FrameType | None) -> Iterator[tuple[CodeType, int]]:
    while frame is not None:
        if owner_of(frame.f_code.co_filename) is Owner.USER:
            yield frame.f_code, frame.f_lasti
        frame = frame.f_back


def _caller(module: nn.Module) -> FrameType | None:
    """The innermost frame of the user's outside of this module's own constructors."""
    frame = user_frame()
    while frame is not None and _is_constructor_of(module, frame):
        frame = frame.f_back
        while frame is not None and owner_of(frame.f_code.co_filename) is not Owner.USER:
            frame = frame.f_back
    return frame


def _is_constructor_of(module: nn.Module, frame: FrameType) -> bool:
    code = frame.f_code
    if code.co_name != "__init__" or not code.co_argcount:
        return False
    return frame.f_locals.get(code.co_varnames[0]) is module
