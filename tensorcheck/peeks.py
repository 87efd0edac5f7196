"""What `tensorcheck.peek` shows: one line a tensor, as plain data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tensorcheck.tables import Layout, Table

BINS = 20
"""How many characters a histogram has."""
_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the values of one tensor are like; `lowest` to `std` are of its finite ones alone.

    >>> Statistics(4, 0.0, 3.0, mean=1.5, std=1.29, zeros=1).share("zeros")
    '25%'
    """

    count: int
    lowest: float | None
    highest: float | None
    """None where no value is finite."""
    mean: float | None
    std: float | None
    """As `Tensor.std` has it; None where there are fewer than two."""
    nan: int = 0
    inf: int = 0
    zeros: int = 0
    histogram: tuple[int, ...] = ()
    """How many values lie in each of twenty equal parts of the way from the lowest to the highest."""

    def share(self, what: str) -> str:
        """The share of `nan`, `inf` or `zeros`; empty where there are none, and never rounded to none or all."""
        number: int = getattr(self, what)
        if not number:
            return ""
        percent = 100 * number / self.count
        if number == self.count or 1 <= percent <= 99:  # noqa: PLR2004 - percent
            return f"{percent:.0f}%"
        return "<1%" if percent < 1 else ">99%"

    @property
    def bars(self) -> str:
        """The histogram in twenty characters, the highest bar for the fullest part.

        >>> Statistics(3, 0.0, 1.0, mean=0.5, std=0.5, histogram=(2, 0, 1)).bars
        '█ ▄'
        """
        most = max(self.histogram, default=0)
        return "".join(_BARS[math.ceil(8 * number / most)] for number in self.histogram) if most else ""


@dataclass(frozen=True, slots=True)
class PeekRow:
    """One tensor, or another thing that was found.

    >>> PeekRow("label", "int64[32] cpu").name
    'label'
    """

    name: str
    """How it is reached: `image`, `[1]["mask"]`, `head.weight`; empty for the thing itself."""
    what: str
    """`float32[32, 10] cpu`, or in a few words what else it is."""
    kind: str = ""
    """The class of the module that has it, or its own class where that is not `Tensor`."""
    gradient: str = ""
    """`leaf`, `leaf, has grad`, `frozen`, or the autograd node that made it."""
    statistics: Statistics | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Peek(Table):
    """What was seen of something: a title, and one line each for what it holds.

    >>> Peek("dict of 1", (PeekRow("label", "int64[32] cpu"),))
    dict of 1
    name   what
    label  int64[32] cpu
    """

    title: str
    rows: tuple[PeekRow, ...] = ()

    def __repr__(self) -> str:
        return str(self)

    def layout(self) -> Layout:
        """The table."""
        head = ("name", "kind", "what", "gradient", *_NUMBERS, *_SHARES, "values", "notes")
        return Layout(head, [_cells(row) for row in self.rows], self.title, frozenset({*_NUMBERS, *_SHARES})).filled()


_NUMBERS = ("lowest", "mean", "highest", "std")
_SHARES = ("nan", "inf", "zeros")


def _cells(row: PeekRow) -> Sequence[str]:
    seen = row.statistics
    numbers = ["" if seen is None else _number(getattr(seen, name)) for name in _NUMBERS]
    shares = ["" if seen is None else seen.share(name) for name in _SHARES]
    bars = "" if seen is None else seen.bars
    return (row.name, row.kind, row.what, row.gradient, *numbers, *shares, bars, ", ".join(row.notes))


def _number(value: float | None) -> str:
    """Whole numbers whole, others with four digits."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4g}"
