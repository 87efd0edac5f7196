"""A record as one page of HTML that needs nothing else: no script, no font, no picture, no network.

The style is one file for the page and for the notebook. Every selector in it starts with `.tensorcheck`, so it can't
change the notebook around it.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tensorcheck.record import Record
from tensorcheck.render import sentences
from tensorcheck.render.frame import Frame
from tensorcheck.render.harmless import harmless
from tensorcheck.render.layout import align


def document(record: Record) -> str:
    """The whole page.

    >>> "<title>no findings" in document(Record(version="0.1.0"))
    True
    """
    return _rendered("report.html.j2", record, prefix="")


def html_fragment(record: Record) -> str:
    """What a notebook shows below a cell; its style touches nothing outside it.

    >>> html_fragment(Record(version="0.1.0")).startswith("<style>")
    True
    """
    return _rendered("fragment.html.j2", record, prefix="tensorcheck-")


def _rendered(template: str, record: Record, *, prefix: str) -> str:
    return (
        _templates()
        .get_template(template)
        .render(
            record=record,
            findings=sentences.worst_first(record),
            summary=sentences.summary(record),
            seen=sentences.seen(record.coverage),
            versions=sentences.versions(record),
            step=sentences.step(record.preflight) if record.preflight is not None else "",
            weights=sentences.weights(record.preflight) if record.preflight is not None else "",
            prefix=prefix,
        )
    )


@functools.cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    templates.filters.update(
        sentence=_sentence,
        prose=_prose,
        lines=_lines,
        rows=_rows,
        frame=Frame.of,
        repeated=sentences.repeated,
    )
    return templates


def _shown(value: object) -> object:
    """What every value goes through before it is escaped; text that is markup already went through it."""
    return value if isinstance(value, Markup) else harmless(str(value))


def _sentence(text: str) -> str:
    """A number stays on the line of what it counts."""
    return re.sub(r"(\d) (?=[a-z])", "\\1\N{NO-BREAK SPACE}", text[:1].upper() + text[1:])


def _prose(text: str) -> Markup:
    """Names in backquotes become code; a backquote that has no partner stays as it is."""
    pieces = harmless(text).split("`")
    if len(pieces) % 2 == 0:
        return escape(harmless(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if position % 2 else escape(piece)
        for position, piece in enumerate(pieces)
    )


def _lines(text: str) -> Markup:
    return Markup("\n").join(_prose(line) for line in text.split("\n"))


def _rows(lines: Iterable[str]) -> list[str]:
    return align([harmless(line) for line in lines])
