"""Files that are read with `weights_only=False` though this run has not written them, and what of that they need.

A file's pickle names the classes and functions that it calls; these are read without calling any.
"""

import ast
import re
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint

from tensorcheck.events.checkpoint import ForeignFileLoaded
from tensorcheck.events.event import Event
from tensorcheck.observe.frames import Owner, expression_at, file_of_caller, owner_of, user_frame
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.written_files import may_be_written, path_of

_COMMANDS = re.compile(
    r"(?:posix|nt|os)\.(?:system|popen|exec\w*|spawn\w*|posix_spawn\w*|remove|unlink|rmdir|kill)"
    r"|builtins\.(?:eval|exec|compile|__import__)"
    r"|(?:subprocess|runpy|pty|socket|webbrowser|shutil|ctypes|importlib)\..+"
)


class ForeignFileProbe(Probe):
    """Hears `torch.load`, and what was saved before."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ForeignFileLoaded})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.saved: dict[str, float] = {}
        """The files that were saved in this run, and when they were first."""

    def attach(self, handles: ExitStack) -> None:
        """Patch both."""
        handles.enter_context(PATCHES.patch_attribute(torch, "load", self))
        handles.enter_context(PATCHES.patch_attribute(torch, "save", _Saves(self)))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain what raises."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A file was read."""
        if kwargs.get("weights_only") is not False or not file_of_caller() or not self.sink.hears_this_thread():
            return
        file = path_of(args[0] if args else kwargs.get("f"))
        if not file or not _is_asked_for() or self._is_own(file) or may_be_written(Path(file).name):
            return
        names = _names_in(file)
        called = tuple(name for name in names or () if _COMMANDS.fullmatch(name))
        if names is not None and (called or not any(_is_users(name) for name in names)):
            event = ForeignFileLoaded(self.sink.step, Path(file).name, names, called, self.sink.sites.here())
            self.sink.emit(event)

    def _is_own(self, file: str) -> bool:
        """Whether it was saved in this run, or is as new as what was: it may have been copied or renamed since."""
        return file in self.saved or Path(file).stat().st_mtime >= min(self.saved.values(), default=float("inf"))


def _names_in(file: str) -> tuple[str, ...] | None:
    """What a file names that weights do not need; None for one of another form."""
    with suppress(Exception):  # PyTorch raises what its parser meets in bytes that it does not know
        return tuple(sorted(get_unsafe_globals_in_checkpoint(file)))
    return None


def _is_asked_for() -> bool:
    """Whether the running call spells `weights_only`, and no function of PyTorch's has it as its default."""
    frame = user_frame()
    call = expression_at(frame.f_code, frame.f_lasti) if frame is not None else None
    return isinstance(call, ast.Call) and any(word.arg in ("weights_only", None) for word in call.keywords)


def _is_users(name: str) -> bool:
    """Whether a class or function belongs to the user's own code, by the longest part of its name that is a module."""
    parts = name.split(".")
    known = (sys.modules.get(".".join(parts[:count])) for count in range(len(parts), 0, -1))
    module = next((module for module in known if module is not None), None)
    filename = getattr(module, "__dict__", {}).get("__file__")
    return parts[0] == "__main__" or (isinstance(filename, str) and owner_of(filename) is Owner.USER)


class _Saves(Listener):
    """Hears `torch.save`."""

    def __init__(self, probe: ForeignFileProbe) -> None:
        self._probe = probe

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A file was written."""
        file = path_of(args[1] if len(args) > 1 else kwargs.get("f"))
        if file and file not in self._probe.saved:
            self._probe.saved[file] = Path(file).stat().st_mtime

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._probe.fault(error)
