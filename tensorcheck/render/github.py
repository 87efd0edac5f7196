"""A record as commands of GitHub Actions: one annotation for each finding, on the line that it names.

The runner obeys every line of a step's output that begins with `::`. So whatever is of the user's stands in the message
or in a property, with line ends escaped, and no other line has any of it.
"""

from collections.abc import Iterator

from tensorcheck.findings import Finding, Severity
from tensorcheck.record import Record
from tensorcheck.render import sentences
from tensorcheck.render.harmless import harmless
from tensorcheck.sites import Site

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def document(record: Record) -> str:
    """A line for each finding, the worst first, and one that counts them.

    >>> finding = Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows", site=Site("train.py", 41, 8, 24))
    >>> print(document(Record(version="0.1.0", findings=(finding,))), end="")
    ::error file=train.py,line=41,endLine=41,col=8,endColumn=23,title=TCK202 loss-broadcast::It grows.
    tensorcheck: 1 error
    """
    return "".join(f"{line}\n" for line in _lines(record))


def _lines(record: Record) -> Iterator[str]:
    yield from (_annotation(finding) for finding in sentences.worst_first(record))
    if not record.findings and not sentences.saw_anything(record.coverage):
        yield "::warning title=tensorcheck::no model and no step was seen"
    yield f"tensorcheck: {sentences.summary(record)}"


def _annotation(finding: Finding) -> str:
    properties = [*_place(finding.site), ("title", f"{finding.rule} {finding.name}")]
    given = ",".join(f"{name}={_in_property(harmless(value))}" for name, value in properties)
    return f"::{_COMMANDS[finding.severity]} {given}::{_in_message(chr(10).join(sentences.in_lines(finding)))}"


def _place(site: Site | None) -> Iterator[tuple[str, str]]:
    """GitHub counts columns from 1 as we do, but its last one belongs to the expression."""
    if site is None or not site.file or not site.line:
        return
    yield from (("file", site.file), ("line", str(site.line)), ("endLine", str(site.line)))
    if site.column:
        yield from (("col", str(site.column)), ("endColumn", str(max(site.end_column - 1, site.column))))


def _in_message(text: str) -> str:
    """As the runner's own library escapes a message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _in_property(text: str) -> str:
    """As it escapes the value of a property."""
    return _in_message(text).replace(":", "%3A").replace(",", "%2C")
