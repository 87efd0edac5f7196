"""Rows in columns, for a terminal and for a notebook, with nothing in them that either would obey."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from tensorcheck.render.harmless import harmless

Cells = Sequence[str]

_CELL = "padding:0.1em 0.8em;vertical-align:top;white-space:pre;font-family:ui-monospace,Menlo,Consolas,monospace"
_CAPTION = "caption-side:top;text-align:left;white-space:pre-wrap;font-weight:600;color:inherit"


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows below their head, with a title above.

    >>> print(Layout(("layer", "size"), (("fc", "7"), ("head", "850")), numbers=frozenset({"size"})))
    layer  size
    fc        7
    head    850
    """

    head: Cells
    rows: Sequence[Cells]
    title: str = ""
    numbers: frozenset[str] = frozenset()
    """The columns that end at the right."""

    def filled(self) -> "Layout":
        """Without the columns in which no row has anything.

        >>> print(Layout(("layer", "why"), (("fc", ""),)).filled())
        layer
        fc
        """
        kept = [place for place in range(len(self.head)) if any(row[place] for row in self.rows)]
        rows = [[row[place] for place in kept] for row in self.rows if kept]
        return replace(self, head=[self.head[place] for place in kept], rows=rows)

    def __str__(self) -> str:
        return "\n".join([*([harmless(self.title)] if self.title else []), *self._lines()])

    def _lines(self) -> list[str]:
        table = self._harmless() if self.head else []
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        adjust = [str.rjust if name in self.numbers else str.ljust for name in self.head]
        return [
            "  ".join(put(cell, width) for put, cell, width in zip(adjust, line, widths, strict=True)).rstrip()
            for line in table
        ]

    @property
    def html(self) -> str:
        """The same as a table of HTML.

        >>> "&lt;b&gt;</td>" in Layout(("layer",), (("<b>",),)).html
        True
        """
        head, *rows = self._harmless()
        body = "".join(f"<tr>{self._cells('td', head, row)}</tr>" for row in rows)
        caption = f'<caption style="{_CAPTION}">{escape(harmless(self.title))}</caption>' if self.title else ""
        return f"<table>{caption}<thead><tr>{self._cells('th', head, head)}</tr></thead><tbody>{body}</tbody></table>"

    def _cells(self, tag: str, head: Cells, row: Cells) -> str:
        return "".join(
            f'<{tag} style="text-align:{"right" if name in self.numbers else "left"};{_CELL}">{escape(cell)}</{tag}>'
            for name, cell in zip(head, row, strict=True)
        )

    def _harmless(self) -> list[list[str]]:
        return [[harmless(cell) for cell in line] for line in (self.head, *self.rows)]


class Table:
    """What is shown as a table, at a prompt and in a notebook."""

    __slots__ = ()

    def layout(self) -> Layout:
        """Its rows and its head."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.layout())

    def _repr_html_(self) -> str:
        return self.layout().html

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, FBT001 - how IPython calls it
        printer.text("..." if cycle else str(self))
