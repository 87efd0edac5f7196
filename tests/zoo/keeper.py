"""Runs healthy code under a session that adopts every model of the process, as the command `run` does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch._dynamo

from tensorcheck.findings import Finding, Severity
from tensorcheck.render.text import finding_text
from tensorcheck.settings import Settings
from tensorcheck.watching import watch_process


@dataclass(frozen=True, slots=True)
class Seen:
    """What a session made of a program."""

    findings: tuple[Finding, ...]
    models: int
    steps: int
    faults: tuple[str, ...]
    """What tensorcheck had to switch off."""

    def alarms(self) -> list[str]:
        """The errors and warnings, as a person reads them: on healthy code each is a false one."""
        return [finding_text(finding) for finding in self.findings if finding.severity > Severity.INFO]

    def infos(self) -> list[str]:
        """What is worth knowing all the same."""
        return [f"{finding.rule}: {finding.headline}" for finding in self.findings if finding.severity is Severity.INFO]


def watched(program: Callable[[], object]) -> Seen:
    """Run a program to its end."""
    torch._dynamo.reset()  # once something in the process is compiled, no operation is traced any more
    with watch_process(list[Finding]().append, settings=Settings()) as watching:
        program()
    coverage = watching.report.record.coverage
    faults = tuple(skip.why for skip in coverage.skipped if skip.why.startswith("it raised"))
    return Seen(watching.findings, coverage.models, coverage.steps, faults)


def programs() -> list[Path]:
    """The whole programs, by name."""
    return sorted(Path(__file__).parent.glob("programs/*.py"))
