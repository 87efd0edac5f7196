"""The source lines of a report that was read back: its JSON has none.

A line is only shown where it still holds the very code of the finding, so a report that is older than its files, or
that came from somewhere else, never shows a line that is not meant.
"""

import tokenize
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tensorcheck.record import Record
from tensorcheck.sites import Site

_LARGEST = 10_000_000
"""Bytes; nobody wrote a longer source file."""

LinesOf = Callable[[str], Sequence[str]]


def with_source(record: Record, lines_of: LinesOf) -> Record:
    """The record with a source line for each place of a finding where the line still holds its code.

    >>> from tensorcheck.findings import Finding, Severity
    >>> site = Site("train.py", 1, 5, 9, code="f(x)")
    >>> finding = Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows", site=site)
    >>> record = with_source(Record(version="0.1.0", findings=(finding,)), lambda file: ["y = f(x)"])
    >>> record.findings[0].site.source
    'y = f(x)'
    """
    findings = tuple(replace(found, site=found.site and _reread(found.site, lines_of)) for found in record.findings)
    return replace(record, findings=findings)


def _reread(site: Site, lines_of: LinesOf) -> Site:
    line = next(iter(lines_of(site.file)[site.line - 1 : site.line]), "")
    return replace(site, source=line) if _holds(line, site) else site


def _holds(line: str, site: Site) -> bool:
    if not site.column:
        return line.strip() == site.code
    code = line[site.column - 1 : site.end_column - 1]
    # Of an expression that goes on in the next line, this one holds the start.
    goes_on = site.end_column - 1 == len(line) and site.code.startswith(f"{code.strip()} ")
    return bool(code.strip()) and (code == site.code or goes_on)


def lines_of(file: str) -> Sequence[str]:
    """The lines of a Python file, or none where it can't be read; a report may name any file, so no other is read.

    >>> lines_of("/dev/zero")
    ()
    """
    path = Path(file)
    try:
        if path.suffix != ".py" or not path.is_file() or path.stat().st_size > _LARGEST:
            return ()
        with tokenize.open(path) as source:
            return [line.rstrip("\n") for line in source]
    except (OSError, SyntaxError, ValueError):
        return ()
