"""Samples of one field in two ranges: some of them fractions around 1, others up to 255, and nothing in between."""

from dataclasses import dataclass

import torch
from torch import Tensor

_LOW, _HIGH = 10.0, 30.0
"""A sample whose largest value lies between these says that the values are spread over all sizes."""
_FEWEST, _FEWEST_IN_ALL = 2, 16
_FEWEST_VALUES, _MOST_VALUES = 8, 256
"""Of a sample; of fewer its range says nothing, and of more as many are looked at, evenly spread."""
_FILLED = 0.3
"""The share of a large sample's values that must be large: a single one stands for what is missing."""


@dataclass
class SampleRanges:
    """How many samples of a field were in which range."""

    low: int = 0
    high: int = 0
    low_limit: float = 0.0
    high_limit: float = 0.0
    is_settled: bool = False
    """Whether they are known to be no such mixture."""

    def add(self, field: Tensor) -> None:
        """Take the samples of one more batch."""
        rows = field.detach().reshape(len(field), -1)
        if rows.shape[1] < _FEWEST_VALUES or not rows.is_floating_point():
            self.is_settled = True
            return
        rows = rows[:, :: -(-rows.shape[1] // _MOST_VALUES)].abs().float()
        tops = rows.amax(1)
        is_low, is_high = tops <= _LOW, tops > _HIGH
        large, is_told = rows[is_high], rows[is_low & (rows != rows.round()).any(1)]
        self.is_settled = not bool((is_low | is_high).all()) or not bool((_filled(large) >= _FILLED).all())
        self.low, self.high = self.low + len(is_told), self.high + len(large)
        self.low_limit = max([self.low_limit, *tops[is_low].tolist()])
        self.high_limit = max([self.high_limit, *tops[is_high].tolist()])

    @property
    def are_two(self) -> bool:
        """Whether there are two ranges, each with some samples."""
        is_enough = min(self.low, self.high) >= _FEWEST and self.low + self.high >= _FEWEST_IN_ALL
        return is_enough and not self.is_settled


def _filled(large: Tensor) -> Tensor:
    """The share of the values of each sample that no small sample has."""
    return torch.mean((large > _LOW).float(), 1)
