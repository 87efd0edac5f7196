"""Where each module of the process was built."""

import weakref
from types import CodeType, FrameType
from typing import Any

from torch import nn

from tensorcheck.observe.frames import Owner, Sites, owner_of, user_frame
from tensorcheck.observe.patches import Listener
from tensorcheck.sites import Site

_EVERY = 4096
"""After so many modules more, those that are gone are forgotten."""


class Births(Listener):
    """Hears `nn.Module.__init__`, and remembers for each module the call that built it."""

    def __init__(self) -> None:
        self._built: dict[int, tuple[weakref.ref[nn.Module], CodeType, int]] = {}
        self._due = _EVERY

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A module is being built: its class's constructor has come to `super().__init__()`."""
        frame = _caller(args[0])
        if frame is not None:
            self._built[id(args[0])] = (weakref.ref(args[0]), frame.f_code, frame.f_lasti)
        if len(self._built) > self._due:
            self._built = {key: value for key, value in self._built.items() if value[0]() is not None}
            self._due = len(self._built) + _EVERY

    def modules(self) -> list[nn.Module]:
        """Those that are there still, and whose constructor is done with `nn.Module`'s part."""
        alive = [reference() for reference, _, _ in list(self._built.values())]
        return [module for module in alive if module is not None and "_modules" in vars(module)]

    def site_of(self, module: nn.Module, sites: Sites) -> Site | None:
        """The call that built it, where the user wrote that."""
        known = self._built.get(id(module))
        if known is None or known[0]() is not module or owner_of(known[1].co_filename) is not Owner.USER:
            return None
        return sites.at(known[1], known[2])

    def fault(self, error: Exception) -> None:  # noqa: ARG002 - a module that can't be referenced weakly is no loss
        """No more is written down."""
        self.is_off = True


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
