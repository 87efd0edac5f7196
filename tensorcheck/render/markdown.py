"""A record as GitHub-flavoured Markdown, for a comment on a pull request, a job's summary or a file.

Names and messages stand in code, where nothing is markup, or in prose, where each character that could be any is
escaped. What is escaped by GitHub only after Markdown was read (mentions, references to issues, formulas) is broken by
an empty comment, for there a backslash is gone already.
"""

import re
from collections.abc import Iterable, Iterator

from tensorcheck.findings import Finding, Related
from tensorcheck.preflights import Preflight
from tensorcheck.record import Record
from tensorcheck.render import sentences
from tensorcheck.render.frame import Frame
from tensorcheck.render.harmless import harmless
from tensorcheck.render.layout import align
from tensorcheck.sites import Site

_MARKUP = re.compile(r"[\\`*_\[\]<>&~|!]|:(?=/)|(?<=\bwww)\.", re.IGNORECASE)
_READ_LATER = re.compile(r"[@#$]|\bGH(?=-\d)", re.IGNORECASE)
_BREAK = "<!-- -->"


def document(record: Record) -> str:
    """The whole record, the worst finding first.

    >>> print(document(Record(version="0.1.0")), end="")
    ## tensorcheck: no findings, and no model and no step was seen
    <BLANKLINE>
    Seen: 0 models, 0 steps.
    <BLANKLINE>
    Made with tensorcheck 0.1.0.
    """
    return "\n\n".join(_blocks(record)) + "\n"


def _blocks(record: Record) -> Iterator[str]:
    yield f"## tensorcheck: {sentences.summary(record)}"
    for finding in sentences.worst_first(record):
        yield from _finding(finding)
    if record.preflight is not None:
        yield from _preflight(record.preflight)
    yield from _closing(record)


def _preflight(preflight: Preflight) -> Iterator[str]:
    yield f"Step: {_prose(sentences.step(preflight))}."
    if preflight.shapes.rows:
        yield _block(str(preflight.shapes).splitlines())
    yield f"{_prose(sentences.weights(preflight))}."
    yield _block(str(preflight.memory).splitlines())


def _finding(finding: Finding) -> Iterator[str]:
    yield f"### {finding.severity.value} {_prose(finding.rule)}: {_prose(finding.headline)}"
    if finding.site:
        yield _place(finding.site)
        yield from _source(finding.site, finding.label)
    if facts := list(_facts(finding)):
        yield "\n".join(facts)
    if finding.path:
        yield "How it got here:"
        yield _block(align([harmless(line) for line in finding.path]))
    yield from _notes(finding)
    if finding.help:
        yield f"Help{_prose(sentences.tried(finding))}:"
        yield _block(map(harmless, finding.help.split("\n")))
    yield f"More: {_code(f'tensorcheck explain {finding.rule}')}"


def _place(site: Site) -> str:
    function = f", in {_code(site.function)}" if site.function else ""
    return f"{_code(str(site))}{function}"


def _source(site: Site, label: str) -> Iterator[str]:
    if not site.source.strip():
        return
    frame = Frame.of(site)
    margin = " " * len(str(site.line))
    carets = " " * frame.offset + "^" * frame.length if frame.guilty else ""
    below = f"{carets} {harmless(label)}".rstrip(" ")
    yield _block([f"{site.line} | {frame.text}", *([f"{margin} | {below}"] if below else [])])


def _facts(finding: Finding) -> Iterator[str]:
    if finding.module and not finding.site:
        yield f"- module: {_code(finding.module)}"
    for name, text in (("expected", finding.expected), ("got", finding.got)):
        value, _, why = text.partition("  ")
        if text:
            yield f"- {name}: {_code(value)}{f' · {_prose(why.strip())}' if why.strip() else ''}"
    if times := sentences.repeated(finding):
        yield f"- seen: {times}"


def _notes(finding: Finding) -> Iterator[str]:
    for note in finding.notes:
        if "\n" in note:
            yield "Note:"
            yield _block(map(harmless, note.split("\n")))
        else:
            yield f"Note: {_prose(note)}"
    for related in finding.related:
        yield from _related(related)


def _related(related: Related) -> Iterator[str]:
    yield f"Note: {_prose(related.note)}: {_place(related.site)}"
    yield from _source(related.site, "")


def _closing(record: Record) -> Iterator[str]:
    if record.findings:
        yield "---"
    yield f"Seen: {sentences.seen(record.coverage)}."
    if record.coverage.experiments:
        yield f"Experiments: {_prose(', '.join(record.coverage.experiments))}."
    if record.coverage.skipped:
        yield "Not looked at:"
        yield "\n".join(
            f"- {_prose(skipped.what)}, because {_prose(skipped.why)}" for skipped in record.coverage.skipped
        )
    if record.command:
        yield f"Command: {_code(record.command)}"
    if versions := sentences.versions(record):
        yield f"Made with {_prose(versions)}."


def _prose(text: str) -> str:
    """Names in backquotes become code; a backquote that has no partner stays as it is."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return _escaped(text)
    return "".join(_code(piece) if position % 2 else _escaped(piece) for position, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    r"""The text as it is, with nothing in it that Markdown or GitHub would take for markup.

    >>> print(_escaped("[16, 1] is *not* for @ada"))
    \[16, 1\] is \*not\* for @<!-- -->ada
    """
    return _READ_LATER.sub(rf"\g<0>{_BREAK}", _MARKUP.sub(r"\\\g<0>", harmless(text)))


def _code(text: str) -> str:
    """A span of code, between more backquotes than it has in a row.

    >>> print(_code("loss_fn(pred, y)"), _code("a`b"))
    `loss_fn(pred, y)` ``a`b``
    """
    shown = harmless(text)
    if not shown.strip(" "):
        return _escaped(shown)
    fence = "`" * (_longest_run(shown) + 1)
    # Markdown takes one space off each end again, where both ends have one.
    gap = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{gap}{shown}{gap}{fence}"


def _block(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    fence = "`" * max(_longest_run(text) + 1, 3)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
