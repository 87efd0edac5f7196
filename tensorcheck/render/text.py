"""A record as text for a terminal, a log or an exception's note.

What is styled and what is plain are one thing: the plain text is the styled one with its styles left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.record import Record
from tensorcheck.render import sentences
from tensorcheck.render.frame import Frame
from tensorcheck.render.harmless import harmless
from tensorcheck.render.layout import align, clip_end, clip_start, pad, wrap
from tensorcheck.sites import Site

WIDTH = 100
_LEAST_WIDTH = 40
"""Below this a terminal breaks the lines itself; there is nothing left to lay out."""

SEVERITY_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold cyan"}
_GUTTER = "blue"
_RELATED = "blue"
_QUIET = "dim"
_HELP = "green"


def finding_text(finding: Finding, *, width: int = WIDTH) -> str:
    """One finding as plain text, without an escape code, in lines of at most this many cells.

    >>> print(finding_text(Finding("TCK202", "loss-broadcast", Severity.ERROR, "`loss_fn` got 32 rows and 1 column")))
    error[TCK202]: `loss_fn` got 32 rows and 1 column
     = more: tensorcheck explain TCK202
    """
    return render_finding(finding, width=width).plain


def render_finding(finding: Finding, *, width: int = WIDTH) -> Text:
    """One finding, styled for a terminal.

    >>> render_finding(Finding("TCK202", "loss-broadcast", Severity.ERROR, "It grows")).plain.splitlines()[0]
    'error[TCK202]: It grows'
    """
    return Text("\n").join(_finding(finding, max(width, _LEAST_WIDTH)))


def document(record: Record) -> str:
    """The whole record as plain text, which ends with a newline.

    >>> print(document(Record(version="")), end="")
    tensorcheck: no findings, and no model and no step was seen
     = seen: 0 models, 0 steps
    """
    return render_report(record).plain + "\n"


def render_report(record: Record, *, width: int = WIDTH) -> Text:
    """The whole record, styled for a terminal: the worst finding first, at the end what was seen and what was not.

    >>> render_report(Record(version="")).plain.splitlines()[-1]
    ' = seen: 0 models, 0 steps'
    """
    findings = (render_finding(finding, width=width) for finding in sentences.worst_first(record))
    return Text("\n\n").join([*findings, *_preflight(record), render_closing(record, width=width)])


def render_closing(record: Record, *, width: int = WIDTH) -> Text:
    """What stands below the findings: how many there are, what was seen and what was not.

    >>> render_closing(Record(version="")).plain.splitlines()[-1]
    ' = seen: 0 models, 0 steps'
    """
    return Text("\n").join(_closing(record, max(width, _LEAST_WIDTH)))


def _preflight(record: Record) -> Iterator[Text]:
    """What a step takes: each call of a module, and the bytes that are kept."""
    if record.preflight is not None:
        if record.preflight.shapes.rows:
            yield Text(str(record.preflight.shapes))
        yield Text(f"{sentences.weights(record.preflight)}\n\n{record.preflight.memory}")


@dataclass(frozen=True, slots=True)
class _Margin:
    """The column of line numbers at the left of a finding, and how much room it leaves."""

    digits: int
    width: int

    @classmethod
    def around(cls, finding: Finding, width: int) -> "_Margin":
        sites = [finding.site, *(related.site for related in finding.related)]
        return cls(max((len(str(site.line)) for site in sites if site), default=0), width)

    @property
    def room(self) -> int:
        return max(self.width - self.digits - len(" | "), _LEAST_WIDTH // 2)

    def rule(self, *parts: Text, number: str = "") -> Text:
        """A line of the source frame: `12 | ...`."""
        return Text.assemble((f"{number:>{self.digits}} |", _GUTTER), *(Text.assemble(" ", part) for part in parts))

    def field(self, name: str, lines: Iterable[str], *, style: str = "") -> Iterator[Text]:
        """The lines after `= name: `, wrapped and kept below each other."""
        sign, title = f"{'':{self.digits}} = ", f"{name} "
        indent = len(sign) + len(title)
        wrapped = [piece for line in lines for piece in wrap(harmless(line), self.width - indent)]
        yield Text.assemble((sign, _GUTTER), (title, "bold"), (wrapped[0], style))
        for line in wrapped[1:]:
            yield Text(f"{'':{indent}}{line}".rstrip(" "), style)


def _finding(finding: Finding, width: int) -> Iterator[Text]:
    margin = _Margin.around(finding, width)
    yield from _heading(finding, width)
    if finding.site:
        yield _place(finding.site, margin)
        yield from _source(finding, finding.site, margin)
    elif finding.module:
        yield from margin.field("module:", [finding.module])
    yield from _expectation(finding, margin)
    yield from _path(finding, margin)
    for note in finding.notes:
        yield from margin.field("note:", note.split("\n"))
    for related in finding.related:
        yield from _related(related, margin)
    yield from _closing_fields(finding, margin)


def _heading(finding: Finding, width: int) -> Iterator[Text]:
    sign = f"{finding.severity.value}[{harmless(finding.rule)}]"
    first, *rest = wrap(f"{sign}: {harmless(finding.headline)}", width - len("  "))
    yield Text.assemble((first[: len(sign)], SEVERITY_STYLES[finding.severity]), (first[len(sign) :], "bold"))
    for line in rest:
        yield Text(f"  {line}", "bold")


def _place(site: Site, margin: _Margin) -> Text:
    arrow = f"{'':{margin.digits}}--> "
    room = margin.width - len(arrow)
    place = clip_start(harmless(str(site)), room)
    function = f", in {harmless(site.function)}" if site.function else ""
    return Text.assemble((arrow, _GUTTER), place, (clip_end(function, room - cell_len(place)), _QUIET))


def _source(finding: Finding, site: Site, margin: _Margin) -> Iterator[Text]:
    if not site.source.strip():
        return
    frame = Frame.of(site).fitted(margin.room)
    style = SEVERITY_STYLES[finding.severity]
    yield margin.rule()
    yield margin.rule(Text(frame.text), number=str(site.line))
    yield from (margin.rule(Text(line, style)) for line in _underline(frame, harmless(finding.label), margin.room))
    yield margin.rule()


def _underline(frame: Frame, label: str, room: int) -> Iterator[str]:
    """The carets with the label beside them, or below where it has no room there."""
    carets = " " * frame.offset + "^" * frame.length
    line = f"{carets} {label}".rstrip(" ") if frame.guilty else label
    if cell_len(line) <= room:
        yield from [line] if line else []
        return
    if frame.guilty:
        yield carets
    indent = min(frame.offset if frame.guilty else 0, max(room - cell_len(label), 0))
    yield from (" " * indent + piece for piece in wrap(label, room - indent))


def _expectation(finding: Finding, margin: _Margin) -> Iterator[Text]:
    """Both values in one notation and, after two spaces, where each comes from, in columns."""
    named = [(name, text) for name, text in (("expected:", finding.expected), ("got:", finding.got)) if text]
    values = [harmless(text).partition("  ") for _, text in named]
    width = max((cell_len(value) for value, _, _ in values), default=0)
    longest = len("expected:") if finding.expected else 0
    for (name, _), (value, _, why) in zip(named, values, strict=True):
        line = f"{pad(value, width)}    {why.strip()}" if why else value
        yield from margin.field(pad(name, longest), [line])


def _path(finding: Finding, margin: _Margin) -> Iterator[Text]:
    if not finding.path:
        return
    yield Text.assemble((f"{'':{margin.digits}} = ", _GUTTER), ("how it got here:", "bold"))
    indent = " " * (margin.digits + 5)
    for row in align([harmless(line) for line in finding.path]):
        yield from (Text(indent + piece) for piece in wrap(row, margin.width - len(indent)))


def _related(related: Related, margin: _Margin) -> Iterator[Text]:
    yield from margin.field("note:", [related.note])
    yield _place(related.site, margin)
    if not related.site.source.strip():
        return
    frame = Frame.of(related.site).fitted(margin.room)
    yield margin.rule(Text(frame.text), number=str(related.site.line))
    if frame.guilty:
        yield margin.rule(Text(" " * frame.offset + "-" * frame.length, _RELATED))


def _closing_fields(finding: Finding, margin: _Margin) -> Iterator[Text]:
    if times := sentences.repeated(finding):
        yield from margin.field("seen:", [times])
    if finding.help:
        tried = f"      (tried: {finding.tried})" if finding.tried else ""
        yield from margin.field("help:", f"{finding.help}{tried}".split("\n"), style=_HELP)
    yield from margin.field("more:", [f"tensorcheck explain {finding.rule}"])


def _closing(record: Record, width: int) -> Iterator[Text]:
    margin = _Margin(0, width)
    worst = max((finding.severity for finding in record.findings), default=None)
    yield Text.assemble("tensorcheck: ", (sentences.summary(record), SEVERITY_STYLES[worst] if worst else "bold"))
    if record.preflight is not None:
        yield from margin.field("step:", [sentences.step(record.preflight)])
    yield from margin.field("seen:", [sentences.seen(record.coverage)])
    if record.coverage.experiments:
        yield from margin.field("experiments:", [", ".join(record.coverage.experiments)])
    for skipped in record.coverage.skipped:
        yield from margin.field("skipped:", [f"{skipped.what}, because {skipped.why}"])
    if versions := sentences.versions(record):
        yield from margin.field("with:", [versions])
