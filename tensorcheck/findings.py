"""What a rule answers, and how equal answers fold into one."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from tensorcheck.fixes import Fix
from tensorcheck.sites import Site


class Severity(Enum):
    """How sure a rule is that something is wrong; ordered, so that severities compare.

    >>> Severity.ERROR > Severity.WARNING > Severity.INFO
    True
    """

    INFO = "info"
    """Worth knowing; never counted."""
    WARNING = "warning"
    """A competent reviewer would ask for a change."""
    ERROR = "error"
    """Certain."""

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return list(Severity).index(self)

    def __lt__(self, other: "Severity") -> bool:
        return self.rank < other.rank

    def __le__(self, other: "Severity") -> bool:
        return self.rank <= other.rank

    def __gt__(self, other: "Severity") -> bool:
        return self.rank > other.rank

    def __ge__(self, other: "Severity") -> bool:
        return self.rank >= other.rank


class Category(StrEnum):
    """What kind of mistake a rule looks for. The first digit of a rule's code is its place in this list."""

    INTERNAL = "internal"
    DTYPE = "dtype"
    SHAPE = "shape"
    DEVICE = "device"
    GRAD = "grad"
    LOOP = "loop"
    NUMERIC = "numeric"
    DATA = "data"
    CHECKPOINT = "checkpoint"
    DISTRIBUTED = "distributed"

    @classmethod
    def of(cls, code: str) -> "Category":
        """The category that a rule's code belongs to.

        >>> Category.of("TCK202")
        <Category.SHAPE: 'shape'>
        """
        return list(cls)[int(code.removeprefix("TCK")[0])]


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that a reader should see, and why: `Related(site, "`y` is made here")`."""

    site: Site
    note: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake: what it is, where it was made, what was expected and what came, and what to change.

    >>> finding = Finding(rule="TCK202", name="loss-broadcast", severity=Severity.ERROR, headline="`loss_fn` grows")
    >>> finding.category
    <Category.SHAPE: 'shape'>
    """

    rule: str
    name: str
    severity: Severity
    headline: str
    """One fact in at most 80 characters, with the user's own name in backquotes and no advice."""
    label: str = ""
    """What stands beside the caret; shorter than the headline."""
    expected: str = ""
    got: str = ""
    site: Site | None = None
    module: str | None = None
    """The dotted path of the module that it concerns, with the watched model itself as the empty string."""
    related: tuple[Related, ...] = ()
    notes: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    """How the tensor got there: one line for each module or operation on its way."""
    help: str = ""
    """What to change, imperative and exact; empty where that is not known."""
    tried: str = ""
    """What passed when the help was applied to a copy: `the forward and the loss pass`; else empty."""
    fixes: tuple[Fix, ...] = ()
    """What could be tried, the likeliest first; the one that passes becomes the help. Reports do not hold them."""
    count: int = 1
    first_step: int = 0
    last_step: int = 0

    @property
    def category(self) -> Category:
        """The category, read from the code."""
        return Category.of(self.rule)

    @property
    def fingerprint(self) -> str:
        """What makes two findings the same one: rule, module path and code text, with no line numbers or sizes."""
        code = self.site.code if self.site else ""
        text = "\0".join((self.rule, self.module or "", code))
        return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


class Findings:
    """Findings in the order in which they were first made, equal ones folded.

    >>> findings = Findings()
    >>> finding = Finding(rule="TCK202", name="loss-broadcast", severity=Severity.ERROR, headline="`loss_fn` grows")
    >>> [findings.add(finding, step=step) for step in (0, 4)]
    [True, False]
    >>> [(found.count, found.first_step, found.last_step) for found in findings]
    [(2, 0, 4)]
    """

    def __init__(self) -> None:
        self._by_fingerprint: dict[str, Finding] = {}

    def add(self, finding: Finding, *, step: int) -> bool:
        """Take a finding made at this step; True if it is new."""
        key = finding.fingerprint
        is_new = key not in self._by_fingerprint
        if is_new:
            self._by_fingerprint[key] = replace(finding, count=0, first_step=step)
        self.repeat(key, step=step)
        return is_new

    def adopt(self, finding: Finding) -> None:
        """Take a finding with its own count and steps, unless an equal one is there."""
        self._by_fingerprint.setdefault(finding.fingerprint, finding)

    def repeat(self, fingerprint: str, *, step: int) -> None:
        """Count a finding once more that was made before."""
        known = self._by_fingerprint[fingerprint]
        self._by_fingerprint[fingerprint] = replace(known, count=known.count + 1, last_step=step)

    def __iter__(self) -> Iterator[Finding]:
        return iter(tuple(self._by_fingerprint.values()))

    def __len__(self) -> int:
        return len(self._by_fingerprint)
