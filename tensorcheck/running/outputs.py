"""Where a run's findings go: to the terminal as they are made, and at the end to the files that were asked for."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from tensorcheck.baseline import Baseline, write_baseline
from tensorcheck.comparing.recorded import RecordedRun
from tensorcheck.findings import Finding
from tensorcheck.record import Record, Skipped
from tensorcheck.render.sentences import plural
from tensorcheck.report import Report

_UNFINISHED = Skipped("the end of the run", "it was still going on when this was written")


def rank() -> int:
    """Which process of a distributed run this is, as launchers tell it; 0 where it is alone."""
    told = os.environ.get("RANK", "")
    return int(told) if told.isdecimal() else 0


def own(path: Path) -> Path:
    """The file of this process: the first of a distributed run has the name that was asked for."""
    return path.with_name(f"{path.stem}.rank{rank()}{path.suffix}") if rank() else path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What is written, and what is not.

    >>> Outputs().files
    ()
    """

    files: tuple[Path, ...] = ()
    """The reports, each in the form that its suffix names."""
    format: str = ""
    """What is printed to stdout after the program's own output, by its name; empty for nothing."""
    quiet: bool = False
    """Whether nothing is printed to stderr."""
    baseline: Baseline = field(default_factory=Baseline)
    """The findings that are accepted: they are not told of, and do not count."""
    new_baseline: Path | None = None
    """The file that all findings of this run are written to, as accepted from now on."""
    trace: Path | None = None
    """The file that the traced steps are written to, for `tensorcheck diff`."""

    def print_finding(self, finding: Finding, stderr: TextIO) -> None:
        """Print a finding that was just made."""
        if not self.quiet and self.baseline.split([finding])[0]:
            from tensorcheck.watching import print_finding  # noqa: PLC0415 - a healthy run never needs it

            with suppress(OSError, ValueError):
                print_finding(finding, stderr)

    def save(self, record: Record) -> Iterator[str]:
        """Write the reports; what could not be written is told, each in a sentence."""
        for path in self.files:
            try:
                Report(record).save(own(path))
            except OSError as error:
                yield f"the report {str(path)!r} could not be written: {error.strerror or error}"

    def save_so_far(self, record: Record) -> None:
        """Write the reports of a run that goes on: it may be killed."""
        coverage = replace(record.coverage, skipped=(*record.coverage.skipped, _UNFINISHED))
        for _ in self.save(replace(record, coverage=coverage)):
            pass

    def finish(self, record: Record, stderr: TextIO) -> bool:
        """Write everything that was asked for; whether all of it could be written."""
        faults = list(self._write_baseline(record))
        record = self.counted(record)
        faults += self.save(record)
        try:
            self._print_closing(record, stderr)
            stderr.writelines(f"tensorcheck: {fault}\n" for fault in faults)
            stderr.flush()
        except (OSError, ValueError) as error:  # the program may have closed stderr, or have no file left to open
            with suppress(OSError, ValueError):
                stderr.write(f"tensorcheck: the report could not be printed: {error}\n")
        return not faults and self._print_document(record)

    def save_trace(self, recorded: RecordedRun, stderr: TextIO) -> bool:
        """Write the traced steps, if that was asked for; whether they could be written."""
        if self.trace is None:
            return True
        try:
            recorded.save(own(self.trace))
        except OSError as error:
            with suppress(OSError, ValueError):
                stderr.write(f"tensorcheck: the trace could not be written: {error.strerror or error}\n")
            return False
        return True

    def counted(self, record: Record) -> Record:
        """The record without the findings that are accepted; its coverage says how many those are."""
        accepted = self.baseline if self.new_baseline is None else Baseline.of(record.findings)
        new, known = accepted.split(record.findings)
        if not known:
            return record
        skipped = Skipped(plural(known, "finding"), "of the baseline")
        coverage = replace(record.coverage, skipped=(*record.coverage.skipped, skipped))
        return replace(record, findings=new, coverage=coverage)

    def _write_baseline(self, record: Record) -> Iterator[str]:
        if self.new_baseline is not None:
            try:
                write_baseline(self.new_baseline, record.findings)
            except OSError as error:
                yield f"the baseline {str(self.new_baseline)!r} could not be written: {error.strerror or error}"

    def _print_closing(self, record: Record, stderr: TextIO) -> None:
        if self.quiet or self.format:
            return
        from rich.console import Console  # noqa: PLC0415 - rich starts slowly

        from tensorcheck.render.text import WIDTH, render_closing  # noqa: PLC0415 - likewise

        console = Console(file=stderr, soft_wrap=True)
        console.print(render_closing(record, width=min(console.width, WIDTH) if console.is_terminal else WIDTH))

    def _print_document(self, record: Record) -> bool:
        """To the very stdout that the program had, whatever it put in its place."""
        if not self.format:
            return True
        text = Report(record).render(self.format)
        try:
            with os.fdopen(os.dup(1), "wb") as stdout:
                stdout.write(text.encode("utf-8", "backslashreplace"))
        except OSError:
            return False
        return True
