"""Which findings are wanted, and how severe they are: pure functions of what a project says.

A rule is named by its code or by the start of one: `TCK2` is every rule of the category shape. Where `select` and
`ignore` both name a rule, the longer name wins, and `ignore` between equally long ones. Flags are nearer to the user
than the file, so `select` given as a flag forgets what the file selects and ignores.

`configuration.py` reads settings from a file and checks them; nothing here does.
"""

import io
import posixpath
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import PurePath
from types import MappingProxyType

from tensorcheck.findings import Finding, Severity
from tensorcheck.sites import Site

ALL = ("TCK",)

_SILENCE = re.compile(r"#\s*tensorcheck:\s*ignore(?![\w-])\s*(?:\[(?P<codes>[^\]]*)(?P<closed>\]?))?")


@dataclass(frozen=True, slots=True)
class Settings:
    """Which findings are kept, and how severe they are.

    >>> settings = Settings(select=("TCK2", "TCK4"), ignore=("TCK4",))
    >>> settings.selects("TCK202"), settings.selects("TCK401")
    (True, False)
    """

    select: tuple[str, ...] = ALL
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=lambda: MappingProxyType({}))
    """Other severities than the rules' own, by code or the start of one."""
    per_path_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """What is ignored in the files that a pattern matches."""
    budget: float | None = None
    """The highest part of a run's time that watching may take; None where that is not limited."""
    root: str = ""
    """The folder of the pyproject.toml, which patterns start from."""
    started_in: str = ""
    """The folder that a finding's relative path starts from."""

    def with_flags(self, *, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> "Settings":
        """The settings with flags over them.

        >>> Settings(ignore=("TCK4",)).with_flags(select=["TCK4"]).selects("TCK401")
        True
        """
        selected, ignored = tuple(select), tuple(ignore)
        if selected:
            return replace(self, select=selected, ignore=ignored)
        nearer = tuple(code for code in self.select if not code.startswith(ignored)) if ignored else self.select
        return replace(self, select=nearer, ignore=(*self.ignore, *ignored))

    def selects(self, code: str) -> bool:
        """Whether findings of this rule are wanted anywhere, so that a rule that is not need not run."""
        return _longest(self.select, code) > _longest(self.ignore, code)

    def judged(self, finding: Finding) -> Finding | None:
        """What becomes of a finding: itself, the same with another severity, or None where it is not wanted.

        >>> finding = Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows")
        >>> Settings(severity={"TCK2": Severity.INFO}).judged(finding).severity
        <Severity.INFO: 'info'>
        """
        if not self.selects(finding.rule) or self._is_ignored_in_its_file(finding) or is_silenced(finding):
            return None
        names = [code for code in self.severity if finding.rule.startswith(code)]
        return replace(finding, severity=self.severity[max(names, key=len)]) if names else finding

    def _is_ignored_in_its_file(self, finding: Finding) -> bool:
        if finding.site is None or not self.per_path_ignores:
            return False
        path = self._path_from_root(finding.site)
        return any(
            finding.rule.startswith(codes) and _matches(pattern, path)
            for pattern, codes in self.per_path_ignores.items()
        )

    def _path_from_root(self, site: Site) -> str:
        path = PurePath(self.started_in, site.file)
        inside = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return posixpath.normpath(inside.as_posix())


def is_silenced(finding: Finding) -> bool:
    """Whether a comment on the finding's line says `# tensorcheck: ignore[TCK202]`, or `ignore` alone for every rule.

    >>> site = Site("train.py", 7, 1, 5, source="f(x)  # tensorcheck: ignore[TCK4, TCK202]")
    >>> is_silenced(Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows", site=site))
    True
    """
    if finding.site is None or "tensorcheck" not in finding.site.source:
        return False
    return any(
        finding.rule.startswith(_codes(match))
        for comment in _comments_after(finding.site)
        for match in _SILENCE.finditer(comment)
    )


def _codes(silence: re.Match[str]) -> tuple[str, ...]:
    if silence["codes"] is None:
        return ALL
    codes = (code.strip().upper() for code in silence["codes"].split(",")) if silence["closed"] else ()
    return tuple(code for code in codes if code.startswith(ALL))


def _comments_after(site: Site) -> Iterable[str]:
    """The comment of the line that holds a place: what starts before the place is the end of a string from above."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(site.source).readline):
            if token.type == tokenize.COMMENT and token.start[1] >= site.column - 1:
                yield token.string
    except (tokenize.TokenError, SyntaxError):
        return  # a line of a longer statement is no statement; its comment came before the error


def _longest(codes: Iterable[str], code: str) -> int:
    return max((len(name) for name in codes if code.startswith(name)), default=0)


def _matches(pattern: str, path: str) -> bool:
    """Whether a pattern matches a file or a folder around it; one without a slash matches a name anywhere."""
    parts = path.split("/")
    if "/" not in pattern.rstrip("/"):
        return any(fnmatchcase(part, pattern.rstrip("/")) for part in parts)
    above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    anywhere = pattern.removeprefix("**/")
    return any(fnmatchcase(folder, form) for folder in above for form in (pattern.rstrip("/"), anywhere.rstrip("/")))
