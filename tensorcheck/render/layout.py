"""Text laid out in the cells of a terminal, where a CJK character is two wide and a combining one has no width.

The standard library's `textwrap` and `str.ljust` count characters, which puts carets and columns in the wrong place.
"""

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

ELLIPSIS = "…"


def pad(text: str, width: int) -> str:
    """The text with spaces after it up to this many cells.

    >>> pad("列", 4) + "|"
    '列  |'
    """
    return text + " " * (width - cell_len(text))


def clip_start(text: str, width: int) -> str:
    """The end of the text, after an ellipsis where it is wider than this.

    >>> clip_start("/home/ada/project/train.py:7", 14)
    '…ct/train.py:7'
    """
    if cell_len(text) <= width:
        return text
    kept = (text[start:] for start in range(len(text) + 1) if cell_len(text[start:]) < width)
    return next((ELLIPSIS + end for end in kept), "")


def clip_end(text: str, width: int) -> str:
    """The start of the text, before an ellipsis where it is wider than this.

    >>> clip_end("self.head(features)", 12)
    'self.head(f…'
    """
    if cell_len(text) <= width:
        return text
    kept = (text[:end] for end in range(len(text), -1, -1) if cell_len(text[:end]) < width)
    return next((start + ELLIPSIS for start in kept), "")


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most this many cells, broken at spaces, and inside a word only where it has to be.

    >>> wrap("the loss is a matrix", 12)
    ['the loss is', 'a matrix']
    """
    lines = [""]
    for piece in _pieces(text.rstrip(" "), width):
        if cell_len(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece.lstrip(" "))
    return lines


def _pieces(text: str, width: int) -> Iterator[str]:
    for word in re.findall(r" *[^ ]+", text):
        yield from [word] if cell_len(word) <= width else chop_cells(word, width)


def align(rows: Sequence[str]) -> list[str]:
    r"""Rows whose cells stand apart by two spaces or more, or by an arrow, with the cells in columns.

    Rows that do not have equally many cells stay as they are.

    >>> print(*align(["conv  Conv2d -> float32[2, 16]", "flatten  Flatten -> float32[32]"]), sep="\n")
    conv     Conv2d  -> float32[2, 16]
    flatten  Flatten -> float32[32]
    """
    table = [re.split(r"(?: (?= *->)| {2}) *", row) for row in rows]
    if len({len(cells) for cells in table}) != 1:
        return list(rows)
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    return ["".join(_columns(cells, widths)).rstrip(" ") for cells in table]


def _columns(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for position, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        gap = "" if position == 0 else " " if cell.startswith("->") else "  "
        yield gap + pad(cell, width)
