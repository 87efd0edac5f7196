"""The exception that somebody who types at a prompt means."""

import bdb
import cmd
import gc
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType


def exception_at_hand() -> BaseException | None:
    """The one that a debugger on the stack looks at, else the one being handled, else the last at a prompt."""
    return next(filter(None, (_debugged(), _handled(), _last())), None)


def _handled() -> BaseException | None:
    """The one being handled; what is typed to a debugger runs while that handles having no command of this name."""
    error = sys.exc_info()[1]
    while error is not None and error.__traceback__ and error.__traceback__.tb_frame.f_code.co_filename == cmd.__file__:
        error = error.__context__
    return error


def _last() -> BaseException | None:
    """Python 3.12 calls it `last_exc`; IPython and older debuggers set `last_value` alone."""
    return getattr(sys, "last_value", None) or getattr(sys, "last_exc", None)


def _debugged() -> BaseException | None:
    """What the innermost debugger was opened on, after the exception: none where it stopped at a breakpoint."""
    for debugger, traceback in _debuggers():
        if traceback is not None:
            return _chosen(debugger) or _of_traceback(traceback)
    return None


def _debuggers() -> Iterator[tuple[bdb.Bdb, TracebackType | None]]:
    """The debuggers that are at their prompt, the innermost first, each with the traceback that it was given."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
    while frame is not None:
        if frame.f_code.co_name == "interaction" and isinstance(debugger := frame.f_locals.get("self"), bdb.Bdb):
            given = [frame.f_locals.get(name) for name in ("traceback", "tb", "tb_or_exc")]
            yield debugger, next((_traceback(each) for each in given if each is not None), None)
        frame = frame.f_back


def _traceback(given: object) -> TracebackType | None:
    if isinstance(given, BaseException):
        return given.__traceback__
    return given if isinstance(given, TracebackType) else None


def _chosen(debugger: bdb.Bdb) -> BaseException | None:
    """Which of a chain of exceptions the debugger's command `exceptions` has chosen, where it has that command."""
    chain = getattr(debugger, "_chained_exceptions", ())
    place = getattr(debugger, "_chained_exception_index", -1)
    chosen = chain[place] if 0 <= place < len(chain) else None
    return chosen if isinstance(chosen, BaseException) else None


def _of_traceback(traceback: TracebackType) -> BaseException | None:
    """The exception that has this traceback or one that goes on with it; only the garbage collector may still know."""
    known = (_handled(), _last())
    for error in (*known, *(each for each in gc.get_referrers(traceback) if isinstance(each, BaseException))):
        if error is not None and _holds(error.__traceback__, traceback):
            return error
    return None


def _holds(whole: TracebackType | None, part: TracebackType) -> bool:
    while whole is not None and whole is not part:
        whole = whole.tb_next
    return whole is part
