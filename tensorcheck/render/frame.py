"""The source line of a finding, cut so that it fits and split where the guilty expression stands."""

from dataclasses import dataclass

from rich.cells import cell_len

from tensorcheck.render.harmless import harmless
from tensorcheck.render.layout import clip_end, clip_start
from tensorcheck.sites import Site

_TAB = " " * 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One source line without its indentation: what stands before the guilty expression, the expression, the rest.

    A line of which no part is known to be guilty has everything in `before`.

    >>> site = Site("train.py", 41, 12, 28, source="    loss = loss_fn(pred, y)")
    >>> frame = Frame.of(site)
    >>> frame.before, frame.guilty, frame.after
    ('loss = ', 'loss_fn(pred, y)', '')
    """

    before: str
    guilty: str = ""
    after: str = ""

    @classmethod
    def of(cls, site: Site) -> "Frame":
        """The whole line of this place, with nothing in it that a terminal would obey.

        An expression that ends on a later line is guilty up to the end of this one.
        """
        source = site.source.rstrip()
        indent = len(source) - len(source.lstrip())
        start = max(site.column - 1, indent)
        end = site.end_column - 1 if site.end_column > site.column else len(source)
        if not site.column or start >= min(end, len(source)):
            return cls(_shown(source[indent:]))
        return cls(_shown(source[indent:start]), _shown(source[start:end]), _shown(source[end:]))

    @property
    def text(self) -> str:
        """The whole line."""
        return self.before + self.guilty + self.after

    @property
    def offset(self) -> int:
        """How many cells stand before the guilty expression."""
        return cell_len(self.before)

    @property
    def length(self) -> int:
        """How many cells the guilty expression takes."""
        return cell_len(self.text[: len(self.before) + len(self.guilty)]) - self.offset

    def fitted(self, width: int) -> "Frame":
        """The same line in at most this many cells: the expression is kept, what is around it makes room.

        >>> Frame("result = compute(", "first.weight", ", second.weight)").fitted(27)
        Frame(before='…mpute(', guilty='first.weight', after=', secon…')
        """
        if cell_len(self.text) <= width:
            return self
        if not self.guilty:
            return Frame(clip_end(self.before, width))
        guilty = clip_end(self.guilty, width - 1)
        after = self.after if guilty == self.guilty else ""
        around = width - cell_len(guilty)
        before = clip_start(self.before, max(around // 2, around - cell_len(after)))
        return Frame(before, guilty, clip_end(after, around - cell_len(before)))


def _shown(source: str) -> str:
    return harmless(source.replace("\t", _TAB))
