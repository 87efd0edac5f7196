"""What tells a sample from another: numbers that stand for the values of its largest field, made once a sample."""

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor

from tensorcheck.observe.describe import tensors_in

_MOST_VALUES = 1 << 17
"""Values of a batch that are looked at; of larger ones as many, evenly spread."""
_FEWEST_VALUES = 64
"""Of each sample that many are, in any case."""
_VARIED = 16


class SampleDigests:
    """The samples of a pass, as numbers that are equal for equal samples; it holds no tensor."""

    most = 1 << 17
    """Samples that are remembered."""

    def __init__(self) -> None:
        self.known: Counter[int] = Counter()
        """How often each came."""
        self.count = 0
        self.is_real = False
        """Whether the values are fractions, so that two samples are hardly equal by chance."""

    def add(self, batch: object) -> None:
        """Take one more batch."""
        field = largest_field(batch)
        if field is None or self.count >= self.most:
            return
        rows = _rows(field)
        self.is_real = self.is_real or _are_fractions(rows)
        for digest in _digests(rows):
            self.known[digest] += 1
            self.count += 1

    @property
    def repeated(self) -> float:
        """The share of samples that came before."""
        return 1 - len(self.known) / self.count if self.count else 0.0


def largest_field(batch: object) -> Tensor | None:
    """The field of a batch with the most values, one row a sample; None where it can't be read."""
    fields = [each for each in tensors_in(batch) if each.dim() and _is_plain(each)]
    field = max(fields, key=Tensor.numel, default=None)
    is_rich = field is not None and field.numel() > 0 and (field.is_floating_point() or field.dim() > 1)
    return field if is_rich else None


def _is_plain(tensor: Tensor) -> bool:
    is_here = type(tensor) is Tensor and tensor.device.type == "cpu"
    return is_here and tensor.layout is torch.strided and not tensor.is_complex()


def _rows(field: Tensor) -> Tensor:
    rows = field.detach().reshape(len(field), -1)
    wanted = max(_MOST_VALUES // max(len(rows), 1), _FEWEST_VALUES)
    return rows[:, :: -(-rows.shape[1] // wanted)].contiguous()


def _are_fractions(rows: Tensor) -> bool:
    if not rows.is_floating_point() or rows.shape[1] < 2:  # noqa: PLR2004 - one number a sample may well come again
        return False
    few = rows[:, :_VARIED].reshape(-1)[: _VARIED * _VARIED]
    return int(few[few != few.round()].unique().numel()) >= _VARIED


def _digests(rows: Tensor) -> Iterator[int]:
    if rows.shape[1] > 1:
        rows = rows[(rows[:, 1:] != rows[:, :1]).any(1)]  # blank ones are equal to each other
    raw = rows.view(torch.uint8) if rows.dtype is not torch.bool else rows
    whole, width = raw.numpy().tobytes(), raw.shape[1]
    for start in range(0, len(whole), width):
        yield hash(whole[start : start + width])
