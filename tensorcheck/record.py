"""Everything that a report shows, as plain data."""

from dataclasses import dataclass

from tensorcheck.findings import Finding, Severity
from tensorcheck.preflights import Preflight


@dataclass(frozen=True, slots=True)
class Environment:
    """What the code ran on.

    >>> Environment(torch="2.13.0", python="3.11.7", devices=("cpu",)).devices
    ('cpu',)
    """

    torch: str = ""
    python: str = ""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not looked at, and why, so that a session that saw little never looks clean."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was seen.

    >>> Coverage(models=1, steps=120, traced=3).steps
    120
    """

    models: int = 0
    steps: int = 0
    """Optimizer steps of the watched models."""
    traced: int = 0
    """How many steps were followed module by module and not only at the model's root."""
    experiments: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    cost: float | None = None
    """The share of the run's time that tensorcheck took, between 0 and 1; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What a reader may want to know of a rule, whatever it found.

    >>> RuleFacts("TCK202", "loss-broadcast", Severity.ERROR, "A loss is a matrix.").page
    ''
    """

    code: str
    name: str
    severity: Severity
    summary: str
    """One sentence."""
    page: str = ""
    """The whole of what `tensorcheck explain` says of it, in Markdown."""


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known at the end of a session: what renderers read.

    >>> Record(version="0.1.0").counts
    {<Severity.ERROR: 'error'>: 0, <Severity.WARNING: 'warning'>: 0, <Severity.INFO: 'info'>: 0}
    """

    version: str
    """The version of tensorcheck."""
    command: str = ""
    """What was typed, or empty where it was called from Python."""
    environment: Environment = Environment()
    findings: tuple[Finding, ...] = ()
    coverage: Coverage = Coverage()
    rank: int = 0
    """Which process of a distributed run it is of."""
    preflight: Preflight | None = None
    """What was learned of a step that was made without values, if this is of one."""
    rules: tuple[RuleFacts, ...] = ()
    """The rules of these findings, for the formats that explain them; a finding does without."""

    @property
    def counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity, the worst first."""
        worst_first = sorted(Severity, reverse=True)
        return {severity: sum(found.severity is severity for found in self.findings) for severity in worst_first}
