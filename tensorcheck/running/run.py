"""`tensorcheck run`: a script, as `python` runs it, with every model in it watched, and a report at its end."""

import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TextIO

import tensorcheck
from tensorcheck.capsules.wish import CapsuleWish
from tensorcheck.findings import Finding, Severity
from tensorcheck.record import Coverage, Record, Skipped
from tensorcheck.running.arrival import when_imported
from tensorcheck.running.exits import before_leaving
from tensorcheck.running.interpreter import Ended, leave, run_program
from tensorcheck.running.outputs import Outputs, rank
from tensorcheck.running.program import Program
from tensorcheck.settings import Settings

if TYPE_CHECKING:
    from tensorcheck.watching import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line asked for."""

    program: Program
    outputs: Outputs
    settings: Settings = field(default_factory=Settings)
    """Which findings are wanted, and how severe they are."""
    fail_on: Severity | None = Severity.ERROR
    """From which severity on a finding makes the exit code 1; None for never."""
    steps: int | None = None
    """After how many training steps to end the script."""
    pdb: bool = False
    """Whether to open the debugger where the script raised what nobody caught."""
    capsule: CapsuleWish | None = None
    """Whether what fails is written to a file, and where."""
    fingerprint: bool = False
    """Whether the values of each traced tensor leave a fingerprint in the trace."""
    simulate_device: str | None = None
    """Which accelerator is simulated, from PyTorch's import to the end."""


def run(options: RunOptions) -> None:
    """Run the program, report, and leave with its exit code, or with 1 where something was found.

    With `TENSORCHECK=0` in the environment it is run and nothing else.
    """
    if os.environ.get("TENSORCHECK") == "0":
        leave(run_program(options.program, lambda _: None), 0)
        return
    watched = WatchedRun(options)
    ended = run_program(options.program, watched.explain)
    exit_code = watched.finish()
    if options.pdb and ended.is_failure and not isinstance(ended.error, SystemExit):
        watched.debug(ended)
    leave(ended, exit_code)


class WatchedRun:
    """What is watched of one program, from before its first line to its end."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._process = os.getpid()
        self._stderr: TextIO = sys.stderr
        self._handles = ExitStack()
        self._watch: Watch | None = None
        self._failure = ""
        """The traceback of why nothing is watched although PyTorch is there."""
        self._ends_in_note = False
        """Whether the last that was printed was the note of an exception."""
        self._is_finished = False
        self._simulation = ExitStack()
        """Left last: what is reported is where it was."""
        self._handles.callback(when_imported("torch", self._begin))
        self._handles.enter_context(before_leaving(self.finish))
        self._handles.enter_context(_hearing_threads(self.explain))

    def _begin(self) -> None:
        """PyTorch was imported: watch all that is done with it."""
        if os.getpid() != self._process:
            return
        try:
            with _without_collecting():  # each class that is made would go through all objects of PyTorch
                self._watch_all()
        except Exception:  # noqa: BLE001 - the script is run all the same
            self._failure = traceback.format_exc()

    def _watch_all(self) -> None:
        from tensorcheck.watching import watch_process  # noqa: PLC0415 - it needs PyTorch

        wanted = self._options
        if wanted.simulate_device is not None:
            from tensorcheck.devices.simulating import simulate_device  # noqa: PLC0415 - likewise

            self._simulation.enter_context(simulate_device(wanted.simulate_device))
        self._watch = watch_process(
            self._found,
            settings=wanted.settings,
            most_steps=wanted.steps,
            capsule=wanted.capsule,
            fingerprint=wanted.fingerprint,
            earlier_optimizers=(),
        )

    def _found(self, finding: Finding) -> None:
        with suppress(Exception):  # what can't be printed is in the report at the end
            self._options.outputs.print_finding(finding, self._stderr)
            self._options.outputs.save_so_far(self._record())

    def explain(self, error: BaseException) -> None:
        """Nobody caught this exception: what is known of it is added to it as a note."""
        if self._watch is not None and os.getpid() == self._process:
            self._watch.explain(error)
            self._ends_in_note = bool(getattr(error, "__notes__", ()))

    def finish(self) -> int:
        """Close, write the reports and say what was seen, once; the result is the exit code that the findings make."""
        if self._is_finished or os.getpid() != self._process:
            return 0
        self._is_finished = True
        try:
            return self._finish()
        except Exception as error:  # noqa: BLE001 - the script's own end is not ours to change
            with suppress(OSError, ValueError):
                self._stderr.write(f"tensorcheck: there is no report: {type(error).__name__}: {error}\n")
            return 0

    def _finish(self) -> int:
        self._handles.close()
        if self._watch is not None:
            self._watch.close()
        record = self._record()
        self._simulation.close()
        if self._ends_in_note and not self._options.outputs.quiet:
            with suppress(OSError, ValueError):  # the program may have closed it
                self._stderr.write("\n")
        is_written = self._options.outputs.finish(record, self._stderr)
        if self._watch is not None:
            is_written &= self._options.outputs.save_trace(self._watch.recorded, self._stderr)
        return int(not is_written or self._is_bad(self._options.outputs.counted(record)))

    def _is_bad(self, record: Record) -> bool:
        limit = self._options.fail_on
        return limit is not None and any(finding.severity >= limit for finding in record.findings)

    def _record(self) -> Record:
        if self._watch is not None:
            return replace(self._watch.report.record, rank=rank())
        why = "watching it failed" if self._failure else "the program never imported it"
        return Record(
            version=tensorcheck.__version__,
            command=" ".join(sys.orig_argv[1:]),
            findings=_faults(self._failure) if self._failure else (),
            coverage=Coverage(skipped=(Skipped("PyTorch", why),)),
            rank=rank(),
        )

    def debug(self, ended: Ended) -> None:
        """Open the debugger where the user's own code stood."""
        from tensorcheck.running.post_mortem import post_mortem  # noqa: PLC0415 - seldom wanted

        if ended.error is not None:
            post_mortem(ended.error, self._watch)


def _faults(trace: str) -> tuple[Finding, ...]:
    from tensorcheck.catalogue import entries  # noqa: PLC0415 - it should never be needed
    from tensorcheck.events.internal import ProbeFailed  # noqa: PLC0415 - likewise
    from tensorcheck.judge import Judge  # noqa: PLC0415 - likewise

    return tuple(Judge(entries()).judge(ProbeFailed(0, "watch", trace)))


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Within, no garbage is collected."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _hearing_threads(on_error: Callable[[BaseException], object]) -> Iterator[None]:
    """Hear of what a thread does not catch, before it is printed."""
    before = threading.excepthook

    def hook(args: Any) -> None:  # noqa: ANN401 - a private class of `threading`
        if args.exc_value is not None:
            on_error(args.exc_value)
        before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        if threading.excepthook is hook:
            threading.excepthook = before
