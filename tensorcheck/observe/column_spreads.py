"""How the values of each column of a pass are spread: sums over its batches, of which none is kept."""

import torch
from torch import Tensor

from tensorcheck.events.passes import Spread
from tensorcheck.observe.sample_digests import largest_field

_MOST_COLUMNS = 512
_PIXELS = 16
"""Rows and columns of an image that are looked at, evenly spread."""
_IMAGE = 4
_CHANNELS = (1, 3, 4)
_OWN = 0.01
"""How far the mean of a sample may be from 0, and its spread from 1, if it was normalised by itself."""

_NEARLY_ALL = 0.95


class ColumnSpreads:
    """The columns of tables and the channels of images; other data has none."""

    def __init__(self) -> None:
        self.count = self.samples = 0
        self.is_image = self.is_off = False
        self.is_continuous = True
        self._sums = self._squares = self._lowest = self._highest = torch.zeros(0)

    def add(self, batch: object) -> None:
        """Take one more batch."""
        field = None if self.is_off else largest_field(batch)
        columns = _columns(field) if field is not None else None
        if field is None or columns is None or (self.count and columns.shape[1] != len(self._sums)):
            self.is_off = True
            return
        self.is_off = field.dim() == _IMAGE and _is_each_by_itself(field)
        self.is_image = field.dim() == _IMAGE
        self.is_continuous = self.is_continuous and _hardly_repeats(columns)
        self._take(columns)
        self.samples += len(field)

    def _take(self, columns: Tensor) -> None:
        sums, squares = columns.sum(0), columns.square().sum(0)
        lowest, highest = columns.amin(0), columns.amax(0)
        if self.count:
            sums, squares = self._sums + sums, self._squares + squares
            lowest, highest = torch.minimum(self._lowest, lowest), torch.maximum(self._highest, highest)
        self._sums, self._squares, self._lowest, self._highest = sums, squares, lowest, highest
        self.count += len(columns)

    @property
    def spreads(self) -> tuple[Spread, ...]:
        """Each column's; none of data that has no such columns."""
        if self.is_off or not self.count:
            return ()
        mean = self._sums / self.count
        std = (self._squares / self.count - mean.square()).clamp(min=0).sqrt()
        rows = zip(mean.tolist(), std.tolist(), self._lowest.tolist(), self._highest.tolist(), strict=True)
        return tuple(Spread(*row) for row in rows)


def _columns(field: Tensor) -> Tensor | None:
    """The values as rows of columns, in float64; None of other shapes."""
    if not field.is_floating_point() or field.shape[0] == 0:
        return None
    if field.dim() == 2 and field.shape[1] <= _MOST_COLUMNS:  # noqa: PLR2004 - `[batch, columns]`
        columns = field.detach().double()
    elif field.dim() == _IMAGE and field.shape[1] in _CHANNELS:
        steps = [-(-size // _PIXELS) for size in field.shape[2:]]
        columns = field.detach()[:, :, :: steps[0], :: steps[1]].double().movedim(1, 3).reshape(-1, field.shape[1])
    else:
        return None
    return columns if bool(columns.isfinite().all()) else None


def _is_each_by_itself(images: Tensor) -> bool:
    """Whether each image was brought to mean 0 and deviation 1 alone."""
    first = images[0].detach().double()
    return abs(float(first.mean())) < _OWN and abs(float(first.std()) - 1) < _OWN


def _hardly_repeats(columns: Tensor) -> bool:
    first = columns[:, 0]
    return int(first.unique().numel()) > _NEARLY_ALL * len(first)
