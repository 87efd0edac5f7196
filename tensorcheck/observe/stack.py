"""The stack at the moment of an exception: the frames that were running, and what each of them is."""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import CO_OPTIMIZED
from types import FrameType, TracebackType

from torch import nn

from tensorcheck.observe.frames import Owner, frames_of, owner_of
from tensorcheck.observe.loss_functions import LOSSES, OTHER_LOSSES

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, slots=True)
class StackFrame:
    """A frame of the stack; none is kept once the event is made."""

    frame: FrameType
    instruction: int

    @property
    def owner(self) -> Owner:
        """Who wrote its code."""
        return owner_of(self.frame.f_code.co_filename)

    def local(self, name: str) -> object:
        """A local variable's value; None where there is none.

        Python 3.11 and 3.12 keep what `f_locals` shows with the frame, also when the frame is cleared, and so keep a
        loader's iterator, whose workers are waited for. It is emptied here, so only frames that are not being traced
        may be asked.
        """
        values = self.frame.f_locals
        value = values.get(name)
        if type(values) is dict and self.frame.f_code.co_flags & CO_OPTIMIZED:
            values.clear()
        return value

    @property
    def module(self) -> nn.Module | None:
        """The module whose `forward` this is."""
        code = self.frame.f_code
        if code.co_name != "forward" or not code.co_argcount:
            return None
        first = self.frame.f_locals.get(code.co_varnames[0])
        return first if isinstance(first, nn.Module) else None

    @property
    def layer(self) -> nn.Module | None:
        """The module, if it is a layer of `torch.nn` and no container of the user's modules."""
        module = self.module
        return module if self.owner is Owner.TORCH and not isinstance(module, _CONTAINERS) else None

    @property
    def loss(self) -> str | None:
        """The name of the loss function that this is."""
        name = self.frame.f_code.co_name
        is_functional = self.frame.f_globals.get("__name__") == "torch.nn.functional"
        return name if is_functional and name in (*LOSSES, *OTHER_LOSSES) else None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters."""
        code = self.frame.f_code
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def stack_of(traceback: TracebackType | None) -> list[StackFrame]:
    """The frames above the place where an exception was caught and those of its traceback, without ours."""
    frames = [*_running(), *(StackFrame(frame, instruction) for frame, instruction in frames_of(traceback))]
    return [frame for frame in frames if frame.owner not in (Owner.OURS, Owner.OUTERMOST)]


@contextmanager
def standing(traceback: TracebackType | None = None) -> Iterator[list[StackFrame]]:
    """`stack_of`, for as long as its locals are read: afterwards they are let go.

    Until Python 3.13 a frame keeps what its `f_locals` last showed, so a tensor that its owner deletes later would live
    on because it was looked at.
    """
    frames = stack_of(traceback)
    try:
        yield frames
    finally:
        for frame in frames:
            _forget_locals(frame.frame)


def _forget_locals(frame: FrameType) -> None:
    if sys.version_info < (3, 13) and frame.f_code.co_flags & CO_OPTIMIZED:
        frame.f_locals.clear()


def _running() -> list[StackFrame]:
    """The running stack below what of it was called by us, a context manager's own frame among it."""
    frames = []
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without formatting them
    while frame is not None and _is_called_by_us(frame.f_code.co_filename):
        frame = frame.f_back
    while frame is not None and owner_of(frame.f_code.co_filename) is not Owner.OUTERMOST:
        frames.append(StackFrame(frame, frame.f_lasti))
        frame = frame.f_back
    return frames[::-1]


def _is_called_by_us(filename: str) -> bool:
    return owner_of(filename) is Owner.OURS or filename == contextlib.__file__
