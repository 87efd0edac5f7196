"""A record with its renderers: what `watch.report` is.

The renderers are imported when they are used, for `rich` and `jinja2` take longer to start than all of this package.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tensorcheck.findings import Finding, Severity
from tensorcheck.record import Record

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

RENDERERS: Mapping[str, str] = MappingProxyType(
    {
        ".html": "tensorcheck.render.html",
        ".json": "tensorcheck.render.json",
        ".txt": "tensorcheck.render.text",
    }
)
"""Which module makes the file of each suffix; its function `document` takes the record and returns the text."""


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
        ValueError: a report is saved as .html, .json or .txt, as its suffix says; this is 'report.doc'
        """
        target = Path(path)
        _write_whole(target, _document(self.record, target))

    def __str__(self) -> str:
        return _document(self.record, Path("report.txt")).removesuffix("\n")

    def __repr__(self) -> str:
        return f"<Report: {', '.join(f'{count} {severity.value}' for severity, count in self.counts.items())}>"

    def _repr_html_(self) -> str:
        from tensorcheck.render.html import html_fragment  # noqa: PLC0415 - jinja2 starts slowly

        return html_fragment(self.record)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        from tensorcheck.render.text import WIDTH, render_report  # noqa: PLC0415 - rich starts slowly

        yield render_report(self.record, width=min(options.max_width, WIDTH))


def _document(record: Record, target: Path) -> str:
    module = RENDERERS.get(target.suffix.lower())
    if module is None:
        *others, last = RENDERERS
        msg = f"a report is saved as {', '.join(others)} or {last}, as its suffix says; this is {target.name!r}"
        raise ValueError(msg)
    text: str = import_module(module).document(record)
    return text


def _write_whole(target: Path, text: str) -> None:
    """Half of a surrogate pair, as in a file name that is no UTF-8, is written out, which JSON reads back."""
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder of the report does not exist", str(target.parent))
    unfinished = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
