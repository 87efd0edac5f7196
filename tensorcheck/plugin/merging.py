"""What all tests of a run found together, whichever process they ran in."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import tensorcheck
from tensorcheck.findings import Finding, Findings, Severity
from tensorcheck.record import Coverage, Environment, Record, Skipped
from tensorcheck.render.json import from_json
from tensorcheck.render.sentences import plural

_SAID_OF_ALL = ("training", "forward")
"""What a session says that saw no training: of one test that is no news."""


class Gathered:
    """The findings of the tests so far, equal ones folded, each with the first test that it came from.

    >>> Gathered().summary
    '0 tests watched, no findings'
    """

    def __init__(self) -> None:
        self.tests = 0
        self._findings = Findings()
        self._coverage = Coverage()
        self._environment = Environment()

    def add(self, test: str, findings: Iterable[Finding], records: Iterable[Record]) -> None:
        """Take what a test found, and what was seen in it."""
        self.tests += 1
        for finding in findings:
            self._findings.adopt(replace(finding, notes=(*finding.notes, f"found in {test}")))
        for record in records:
            self._environment = record.environment
            self._cover(record.coverage)

    def merge(self, other: Mapping[str, Any]) -> None:
        """Take what another process gathered."""
        record = from_json(json.loads(other["record"]))
        self.tests += other["tests"]
        for finding in record.findings:
            self._findings.adopt(finding)
        self._environment = record.environment
        self._cover(record.coverage)

    def _cover(self, seen: Coverage) -> None:
        known = self._coverage
        skipped: dict[Skipped, None] = dict.fromkeys(known.skipped)
        skipped.update(dict.fromkeys(each for each in seen.skipped if each.what not in _SAID_OF_ALL))
        self._coverage = replace(
            known,
            models=known.models + seen.models,
            steps=known.steps + seen.steps,
            traced=known.traced + seen.traced,
            skipped=tuple(skipped),
        )

    @property
    def record(self) -> Record:
        """All of it, for a report."""
        return Record(
            version=tensorcheck.__version__,
            command="pytest",
            environment=self._environment,
            findings=tuple(self._findings),
            coverage=self._coverage,
        )

    @property
    def summary(self) -> str:
        """One line for the end of the run."""
        counts = {severity: sum(each.severity is severity for each in self._findings) for severity in Severity}
        told = [
            plural(counts[severity], severity.value)
            for severity in (Severity.ERROR, Severity.WARNING)
            if counts[severity]
        ]
        return f"{plural(self.tests, 'test')} watched, {', '.join(told) or 'no findings'}"
