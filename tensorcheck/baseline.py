"""What a project already knows of: findings that are accepted for now, so that only new ones count.

A finding is known by its fingerprint, which has no line numbers and no sizes. The rule, the headline and the file stand
beside it for whoever reads the file or a difference of two.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tensorcheck.atomic import write_whole
from tensorcheck.findings import Category, Finding

FORMAT = 1


class BaselineError(ValueError):
    """A file that should be a baseline can't be read or is none; the message says why."""


@dataclass(frozen=True, slots=True, order=True)
class Known:
    """One finding that is accepted."""

    file: str
    """Where it was, or empty."""
    rule: str
    fingerprint: str
    headline: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings that are accepted.

    >>> from tensorcheck.findings import Severity
    >>> finding = Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows")
    >>> Baseline.of([finding]).split([finding])
    ((), 1)
    """

    known: tuple[Known, ...] = ()

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> "Baseline":
        """All of these findings, but for faults of tensorcheck itself: no next one is known by an old one."""
        accepted = (finding for finding in findings if finding.category is not Category.INTERNAL)
        return cls(tuple(sorted({_known(finding) for finding in accepted})))

    def split(self, findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], int]:
        """The findings that are new, and how many are known."""
        prints = {known.fingerprint for known in self.known}
        given = tuple(findings)
        new = tuple(finding for finding in given if finding.fingerprint not in prints)
        return new, len(given) - len(new)


def _known(finding: Finding) -> Known:
    return Known(finding.site.file if finding.site else "", finding.rule, finding.fingerprint, finding.headline)


def write_baseline(path: Path, findings: Iterable[Finding]) -> None:
    """Write the findings as a baseline, whole or not at all; equal findings make an equal file."""
    entries = [asdict(known) for known in Baseline.of(findings).known]
    text = json.dumps({"tensorcheck_baseline": FORMAT, "findings": entries}, indent=2, ensure_ascii=False)
    write_whole(path, f"{text}\n", what="baseline")


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file.

    >>> read_baseline(Path("missing.json"))
    Traceback (most recent call last):
    tensorcheck.baseline.BaselineError: missing.json can't be read: No such file or directory
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror or error}"
        raise BaselineError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{path} is no baseline: it is no JSON ({error})"
        raise BaselineError(msg) from error
    return Baseline(tuple(sorted(_entries(path, content))))


def _entries(path: Path, content: Any) -> list[Known]:  # noqa: ANN401 - a file may hold anything
    version = content.get("tensorcheck_baseline") if isinstance(content, dict) else None
    if version is None:
        msg = f"{path} is no baseline: it has no 'tensorcheck_baseline'; --write-baseline makes one"
        raise BaselineError(msg)
    if version != FORMAT:
        msg = f"{path} is a baseline of version {version!r}; this version of tensorcheck reads {FORMAT}"
        raise BaselineError(msg)
    try:
        return [Known(**{name: _text(entry[name]) for name in Known.__slots__}) for entry in content["findings"]]
    except (KeyError, TypeError) as error:
        msg = f"{path} is no baseline: each of its 'findings' has {', '.join(Known.__slots__)}, and each is text"
        raise BaselineError(msg) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
