"""A record with its renderers: what `watch.report` is.

The renderers are imported when they are used, for `rich` and `jinja2` take longer to start than all of this package.
"""

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tensorcheck.atomic import write_whole
from tensorcheck.findings import Finding, Severity
from tensorcheck.record import Record

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "text": "tensorcheck.render.text",
        "json": "tensorcheck.render.json",
        "html": "tensorcheck.render.html",
        "md": "tensorcheck.render.markdown",
        "sarif": "tensorcheck.render.sarif",
        "github": "tensorcheck.render.github",
    }
)
"""Which module makes the text of each format; its function `document` takes the record and returns the text."""

SUFFIXES: Mapping[str, str] = MappingProxyType(
    {".html": "html", ".json": "json", ".md": "md", ".sarif": "sarif", ".txt": "text"}
)
"""The format of a file of each suffix."""


class Report:
    """What was found and what was looked at, ready to be read, printed and saved.

    >>> print(Report(Record(version="0.1.0")))
    tensorcheck: no findings, and no model and no step was seen
     = seen: 0 models, 0 steps
     = with: tensorcheck 0.1.0
    """

    def __init__(self, record: Record) -> None:
        self.record = record

    @property
    def findings(self) -> tuple[Finding, ...]:
        """In the order in which they were first made.

        >>> Report(Record(version="0.1.0")).findings
        ()
        """
        return self.record.findings

    @property
    def counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity, the worst first.

        >>> Report(Record(version="0.1.0")).counts[Severity.ERROR]
        0
        """
        return self.record.counts

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report in the form that the suffix names, whole or not at all, into a folder that is there.

        >>> Report(Record(version="0.1.0")).save("report.doc")
        Traceback (most recent call last):
        ValueError: a report is saved as .html, .json, .md, .sarif or .txt, as its suffix says; this is 'report.doc'
        """
        target = Path(path)
        self.write(target, format_of(target))

    def write(self, target: Path, form: str) -> None:
        """Write the report in a format of `render`, whatever the suffix says."""
        write_whole(target, self.render(form), what="report")

    def render(self, form: str) -> str:
        """The report in the format `text`, `json`, `html`, `md`, `sarif` or `github`.

        >>> print(Report(Record(version="0.1.0")).render("md").splitlines()[0])
        ## tensorcheck: no findings, and no model and no step was seen
        """
        if form not in FORMATS:
            msg = f"a report has the formats {', '.join(FORMATS)}, and no {form!r}"
            raise ValueError(msg)
        text: str = import_module(FORMATS[form]).document(self.record)
        return text

    def __str__(self) -> str:
        return self.render("text").removesuffix("\n")

    def __repr__(self) -> str:
        return f"<Report: {', '.join(f'{count} {severity.value}' for severity, count in self.counts.items())}>"

    def _repr_html_(self) -> str:
        from tensorcheck.render.html import html_fragment  # noqa: PLC0415 - jinja2 starts slowly

        return html_fragment(self.record)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, FBT001 - how IPython calls it
        printer.text("..." if cycle else str(self))

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        from tensorcheck.render.text import WIDTH, render_report  # noqa: PLC0415 - rich starts slowly

        yield render_report(self.record, width=min(options.max_width, WIDTH))


def format_of(target: Path) -> str:
    """The format that a file's suffix names, or a `ValueError` that lists the suffixes.

    >>> format_of(Path("report.md"))
    'md'
    """
    form = SUFFIXES.get(target.suffix.lower())
    if form is None:
        *others, last = SUFFIXES
        msg = f"a report is saved as {', '.join(others)} or {last}, as its suffix says; this is {target.name!r}"
        raise ValueError(msg)
    return form
