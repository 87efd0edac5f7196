"""Runs a program as `python` would, down to its exit code and what it prints of an exception."""

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from tensorcheck.running.program import NoProgramError, Prepared, Program


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    error: BaseException | None = None
    """What nobody caught, a `SystemExit` too, with a traceback that begins with the program's own frame."""

    @property
    def is_failure(self) -> bool:
        """Whether `python` would exit with another code than 0."""
        if isinstance(self.error, SystemExit):
            return self.error.code not in (None, 0)
        return self.error is not None


OnError = Callable[[BaseException], object]
"""Told of an exception that nobody caught, before it is printed."""


def run_program(program: Program, on_error: OnError) -> Ended:
    """Run a program to its end, and that of its threads; what it raises is printed as `python` prints it."""
    ended = _run(program)
    if ended.error is not None and not isinstance(ended.error, SystemExit):
        _print(ended.error, on_error)
    _wait_for_threads()
    return ended


def _run(program: Program) -> Ended:
    try:
        prepared = program.prepare()
    except NoProgramError as error:
        sys.stderr.write(f"tensorcheck: {error}\n")
        return Ended(SystemExit(error.exit_code))
    except BaseException as error:  # noqa: BLE001 - a package's `__init__`, or a source that can't be compiled
        return Ended(error.with_traceback(None) if isinstance(error, SyntaxError) else error)
    try:
        exec(prepared.code, vars(prepared.main))  # noqa: S102 - this is what running a script is
    except BaseException as error:  # noqa: BLE001 - a stranger's script may raise anything
        return Ended(error.with_traceback(_of_program(error, prepared)))
    return Ended()


def _of_program(error: BaseException, prepared: Prepared) -> TracebackType | None:
    """The traceback from the program's own frame on; the launcher's are nothing to its author."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code is not prepared.code:
        traceback = traceback.tb_next
    return traceback


def _print(error: BaseException, on_error: OnError) -> None:
    """As the interpreter does it: standard streams flushed, the `last_` names set, and the hook called."""
    on_error(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException as fault:  # noqa: BLE001 - the program's own hook
        _print_fault_of_hook(fault.with_traceback(fault.__traceback__ and fault.__traceback__.tb_next), error)


def _print_fault_of_hook(fault: BaseException, error: BaseException) -> None:
    sys.stderr.write("Error in sys.excepthook:\n")
    sys.__excepthook__(type(fault), fault, fault.__traceback__)
    sys.stderr.write("\nOriginal exception was:\n")
    sys.__excepthook__(type(error), error, error.__traceback__)


def _wait_for_threads() -> None:
    """The interpreter waits for them before it ends; what they do still counts."""
    main = threading.main_thread()
    for thread in threading.enumerate():
        if thread is not main and thread is not threading.current_thread() and not thread.daemon:
            with suppress(KeyboardInterrupt):
                thread.join()


def leave(ended: Ended, exit_code: int) -> None:
    """End this process as the program ended, or with this code where that was no failure."""
    error = ended.error
    if isinstance(error, SystemExit) and ended.is_failure:
        raise error
    if isinstance(error, KeyboardInterrupt):
        # Leaving with it makes the process die of the signal, as its parent expects; it was printed already.
        sys.excepthook = lambda *_: None
        raise error
    if error is not None and not isinstance(error, SystemExit):
        raise SystemExit(1)
    if exit_code:
        raise SystemExit(exit_code)
