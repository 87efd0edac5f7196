"""The debugger, opened at the line of the user's that was running or that raised."""

import bdb
import importlib
import inspect
import os
import pdb  # noqa: T100 - it is what opens it
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any

from tensorcheck.observe.frames import Owner, owner_of


def open_debugger(header: str, frame: FrameType | None, error: BaseException | None) -> None:
    """Stop in this frame, where to quit raises `bdb.BdbQuit`, or look back from where an exception was raised.

    The debugger is `pdb`, or what `sys.breakpointhook` and PYTHONBREAKPOINT say. The header is printed above it.
    """
    hook = _other_hook()
    if hook is not None:
        _call(hook, frame, header)
    elif error is not None and error.__traceback__ is not None:
        Debugger(header).look_back(frame, error.__traceback__)
    elif frame is not None:
        Debugger(header).stop_in(frame)


def _other_hook() -> Callable[..., Any] | None:
    """The debugger that was chosen in place of `pdb`, if one was."""
    if sys.breakpointhook is not sys.__breakpointhook__:
        return sys.breakpointhook
    module, _, function = os.environ.get("PYTHONBREAKPOINT", "").rpartition(".")
    if not function:
        return None
    try:
        hook: Callable[..., Any] = getattr(importlib.import_module(module or "builtins"), function)
    except (ImportError, AttributeError):
        return sys.__breakpointhook__  # which warns that there is none
    return None if hook is pdb.set_trace else hook


def _call(hook: Callable[..., Any], frame: FrameType | None, header: str) -> None:
    """Another debugger stops where it is called unless it can be told the frame; the header says how far away."""
    accepted = _parameters(hook)
    above = len(list(_frames_between(frame)))
    if "frame" not in accepted and frame is not None:
        header = f"{header}Your line is {above} frames above the prompt: up {above}\n"
    given = {"frame": frame, "header": header}
    if "header" not in accepted:
        sys.stdout.write(header)
        sys.stdout.flush()
    hook(**{name: value for name, value in given.items() if name in accepted})


def _parameters(hook: Callable[..., Any]) -> Sequence[str]:
    if getattr(hook, "__module__", "") == "_pytest.debugging":
        return ("header",)  # which its signature does not say
    try:
        return tuple(inspect.signature(hook).parameters)
    except (TypeError, ValueError):
        return ()


def _frames_between(frame: FrameType | None) -> Iterator[FrameType]:
    """From the frame that calls the hook to the one below the user's."""
    running: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
    while running is not None and running is not frame:
        yield running
        running = running.f_back


class Debugger(pdb.Pdb):
    """Begins at a line of the user's, and does not step into this package."""

    def __init__(self, header: str) -> None:
        super().__init__(skip=["tensorcheck", "tensorcheck.*"])
        self._header = header
        self._begins = True
        """Whether it is yet to choose the frame that it begins at."""

    def stop_in(self, frame: FrameType) -> None:
        """Stop in a frame that is running; the commands that go on from there work as after `breakpoint()`."""
        self.reset()
        above: FrameType | None = frame
        while above is not None:
            above.f_trace = self.trace_dispatch
            self.botframe, above = above, above.f_back
        self.message(self._header)
        self.interaction(frame, None)
        if self.quitting:
            raise bdb.BdbQuit
        if self.stoplineno != _NOWHERE or self.breaks:
            sys.settrace(self.trace_dispatch)

    def look_back(self, frame: FrameType | None, traceback: TracebackType) -> None:
        """Look at the frames of an exception and at those around them, from the innermost of the user's."""
        self.reset()
        self.message(self._header)
        self.interaction(frame, traceback)

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """The stack, and which of its frames the prompt stands at: at first the innermost of the user's."""
        stack, place = super().get_stack(f, t)
        if not self._begins:
            return stack, place
        self._begins = False
        of_user = [at for at, (frame, _) in enumerate(stack) if owner_of(frame.f_code.co_filename) is Owner.USER]
        return stack, of_user[-1] if of_user else place


_NOWHERE = -1
"""The line at which `bdb` stops next after its command `continue`."""
