"""Puts other functions in the place of PyTorch's, for as long as something is simulated anywhere in the process.

Each of ours asks whether something is simulated in the running thread, and else calls the original: another thread
sees no difference, and neither does one that kept a reference to ours.
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tensorcheck.devices.scope import HERE, simulated

_FOLDER = str(Path(__file__).parent)
_MISSING = object()
Maker = Callable[..., Any]


def leave_out_ours(error: BaseException) -> None:
    """Take our frames off the head of a traceback: who raises `error` again is where PyTorch's own code would be."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_FOLDER):
        trace = trace.tb_next
    error.__traceback__ = trace


class Replacements:
    """What was replaced, in order, so that all of it can be undone."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, object, object]] = []

    def put(self, owner: type | ModuleType, name: str, ours: object) -> None:
        """Let `owner.name` be this."""
        before = vars(owner).get(name, _MISSING)
        setattr(owner, name, ours)
        self._done.append((owner, name, before, vars(owner)[name]))

    def wrap(self, owner: type | ModuleType, name: str, make: Maker) -> None:
        """Where something is simulated, let `owner.name` be `make(original, *args, **kwargs)`."""
        held = inspect.getattr_static(owner, name, None)
        if not hasattr(owner, name):
            return
        original = getattr(owner, name)

        @functools.wraps(original, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        def ours(*args: Any, **kwargs: Any) -> Any:
            try:
                return make(original, *args, **kwargs) if HERE.simulations else original(*args, **kwargs)
            except BaseException as error:
                leave_out_ours(error)
                raise

        self.put(owner, name, staticmethod(ours) if isinstance(held, staticmethod) else ours)

    def ask(self, owner: type | ModuleType, name: str, answer: Maker, kind: str = "") -> None:
        """Where this kind, or any, is simulated, let `owner.name` be `answer`, whether there was one or not."""
        original = getattr(owner, name, None)

        @functools.wraps(answer, assigned=("__doc__",))
        def ours(*args: Any, **kwargs: Any) -> Any:
            if original is None or (simulated(kind) if kind else HERE.simulations):
                return answer(*args, **kwargs)
            return original(*args, **kwargs)

        ours.__name__ = ours.__qualname__ = name
        self.put(owner, name, ours)

    def undo(self) -> None:
        """Put everything back that nobody has replaced since."""
        while self._done:
            owner, name, before, ours = self._done.pop()
            if vars(owner).get(name) is not ours:
                continue
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
