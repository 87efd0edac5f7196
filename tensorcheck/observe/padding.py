"""Padding in a tensor: one value at the end of some samples and nowhere else, from another position on in each."""

from typing import NamedTuple

import torch
from torch import Tensor

_FEWEST_SAMPLES, _SHORTEST = 4, 4
_MOST = 1 << 20
"""Values beyond which nothing is looked at."""
_ONE_IN = 4
"""Of as many samples one at least is padded."""


class Padding(NamedTuple):
    """How a tensor is padded."""

    samples: int
    length: int
    padding: int
    pad: float


def padding_of(tensor: Tensor, pad: int | None = None) -> Padding | None:
    """Token ids `[batch, seq]`, or frames `[batch, seq, features]` of zeros at the end; `pad` where it is known.

    >>> padding_of(torch.tensor([[5, 6, 0, 0, 0], [7, 8, 9, 4, 6], [5, 0, 0, 0, 0], [3, 4, 5, 6, 0]]))
    Padding(samples=4, length=5, padding=8, pad=0.0)
    """
    if not _can_be_asked(tensor):
        return None
    positions = tensor.detach()
    if positions.is_floating_point():
        is_pad, known = (positions == 0).reshape(*positions.shape[:2], -1).all(2), 0.0
    else:
        known = float(positions[:, -1].mode().values if pad is None else pad)
        is_pad = positions == known
    return _at_the_end(is_pad, known, is_asked=pad is not None)


def _can_be_asked(tensor: Tensor) -> bool:
    is_plain = type(tensor) is Tensor and tensor.layout is torch.strided and not tensor.is_complex()
    if not is_plain or tensor.is_meta or tensor.dtype is torch.bool or not 0 < tensor.numel() <= _MOST:
        return False
    has_positions = tensor.dim() == 2 or (tensor.dim() == 3 and tensor.is_floating_point())  # noqa: PLR2004 - ids, frames
    return has_positions and tensor.shape[0] >= _FEWEST_SAMPLES and tensor.shape[1] >= _SHORTEST


def _at_the_end(is_pad: Tensor, pad: float, *, is_asked: bool) -> Padding | None:
    ends = is_pad.flip(1).long().cumprod(1).sum(1)
    is_elsewhere = bool(is_pad.sum() != ends.sum())
    differ = int(ends.max() - ends.min())
    padded = int((ends >= (1 if is_asked else 2)).sum())
    if is_elsewhere or differ < (1 if is_asked else 2) or padded * _ONE_IN < len(ends):
        return None
    return Padding(len(ends), is_pad.shape[1], int(ends.sum()), pad)
