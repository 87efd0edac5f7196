"""The values of many tensors at once: what they are like is computed where they are, and fetched in one transfer.

Nothing here waits for a device until all is computed: no value decides what is done next. Each tensor is gone through
twice, in pieces, so that what is needed beside it stays below 200 MB; a tensor whose values lie apart is copied.
"""

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorcheck.peeks import BINS, Statistics

_PIECE, _PIECE_OF_ACCELERATOR = 1 << 16, 1 << 22
"""How many values are looked at together: what fits into a processor's cache, or what keeps a device busy."""
_COMPUTED_AS = {
    torch.bool: torch.uint8,
    torch.uint16: torch.int64,
    torch.uint32: torch.int64,
    torch.uint64: torch.float64,
}
"""Numbers that PyTorch does not compare."""
_UNREADABLE = (RuntimeError, NotImplementedError, TypeError, AttributeError, ValueError, IndexError)
"""What PyTorch raises for a kind of tensor that it computes nothing of, such as four-bit numbers."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """What was computed of one tensor and is still where that is: integers, and the bits of real numbers."""

    encoded: Tensor
    count: int
    dtype: torch.dtype
    real: torch.dtype
    """The dtype that it was computed in."""


def statistics_of(tensors: Sequence[Tensor | None]) -> list[Statistics | None]:
    """What the values of each tensor are like; None where they can't be read. At most one wait for each device."""
    pending = [None if tensor is None else _pending(tensor) for tensor in tensors]
    by_device: dict[torch.device, list[int]] = defaultdict(list)
    for place, each in enumerate(pending):
        if each is not None:
            by_device[each.encoded.device].append(place)
    found: list[Statistics | None] = [None] * len(tensors)
    for places in by_device.values():
        known = [(place, each) for place in places if (each := pending[place]) is not None]
        rows = _fetched([each.encoded for _, each in known])
        for (place, each), row in zip(known, rows, strict=False):
            found[place] = _decoded(each, row)
    return found


def _fetched(encoded: Sequence[Tensor]) -> list[list[int]]:
    try:
        rows: list[list[int]] = torch.stack(list(encoded)).tolist()
    except _UNREADABLE:
        return []
    return rows


def _pending(tensor: Tensor) -> _Pending | None:
    try:
        dense = _dense(tensor)
        real = torch.float32 if dense.device.type == "mps" else torch.float64
        return _Pending(_encoded(_in_order(dense), real), dense.numel(), dense.dtype, real) if dense.numel() else None
    except _UNREADABLE:
        return None


def _dense(tensor: Tensor) -> Tensor:
    """The values as numbers that PyTorch computes with; of complex ones, their absolute values. Unexpanded."""
    for dim, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.size(dim) > 1:
            tensor = tensor.narrow(dim, 0, 1)
    if tensor.is_quantized:
        return tensor.dequantize()
    if tensor.is_complex():
        return (tensor.to(torch.complex64) if tensor.dtype is torch.complex32 else tensor).abs()
    return tensor.to(_COMPUTED_AS.get(tensor.dtype, torch.float32 if _is_tiny(tensor) else tensor.dtype))


def _is_tiny(tensor: Tensor) -> bool:
    """Real numbers of eight bits, with which PyTorch does not calculate."""
    return tensor.is_floating_point() and tensor.element_size() == 1


def _in_order(tensor: Tensor) -> Tensor:
    """The same values in the order of memory, which for a transposed tensor needs no copy."""
    return tensor.permute(sorted(range(tensor.dim()), key=tensor.stride, reverse=True)).reshape(-1)


def _encoded(flat: Tensor, real: torch.dtype) -> Tensor:
    pieces = flat.split(_PIECE if flat.device.type == "cpu" else _PIECE_OF_ACCELERATOR)
    counts = torch.stack([_counts(piece) for piece in pieces]).sum(0)
    lowest, highest = _extremes(pieces)
    finite = (flat.numel() - counts[0] - counts[1]).to(real)
    low, high = lowest.to(real), highest.to(real)
    mean = torch.stack([_finite(piece).sum(dtype=real) for piece in pieces]).sum() / finite
    looks = [_second_look(piece.to(real), low, high, mean) for piece in pieces]
    std = (torch.stack([squares for squares, _ in looks]).sum() / (finite - 1).clamp(min=1)).sqrt()
    histogram = torch.stack([parts for _, parts in looks]).sum(0)
    extremes = [_bits(low), _bits(high)] if flat.is_floating_point() else [lowest, highest]
    return torch.cat([torch.stack([*extremes, _bits(mean), _bits(std)]), counts, histogram])


def _counts(piece: Tensor) -> Tensor:
    """How many are NaN, infinite and zero."""
    zeros = piece.numel() - piece.count_nonzero()
    if not piece.is_floating_point():
        return torch.stack([zeros - zeros, zeros - zeros, zeros])
    return torch.stack([(piece != piece).count_nonzero(), (piece.abs() == torch.inf).count_nonzero(), zeros])  # noqa: PLR0124 - NaN is not itself


def _finite(piece: Tensor) -> Tensor:
    """With 0 in place of what is not finite."""
    return piece.nan_to_num(0.0, posinf=0.0, neginf=0.0) if piece.is_floating_point() else piece


def _extremes(pieces: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The lowest and the highest, of real numbers the finite ones, of integers exactly."""
    if not pieces[0].is_floating_point():
        lows, highs = [piece.amin() for piece in pieces], [piece.amax() for piece in pieces]
        return torch.stack(lows).amin().to(torch.int64), torch.stack(highs).amax().to(torch.int64)
    lows = [piece.where(piece.isfinite(), torch.inf).amin() for piece in pieces]
    highs = [piece.where(piece.isfinite(), -torch.inf).amax() for piece in pieces]
    return torch.stack(lows).amin(), torch.stack(highs).amax()


def _second_look(values: Tensor, low: Tensor, high: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """The squares of the distances to the mean, summed up, and how many values lie in each part of the way up."""
    is_finite = values.isfinite()
    squares = torch.where(is_finite, values - mean, 0.0).square().sum()
    place = torch.where(is_finite, (values - low) * (BINS / (high - low)), 0.0).nan_to_num(0.0).clamp(0, BINS - 1)
    return squares, squares.new_zeros(BINS, dtype=torch.int64).scatter_add_(0, place.long(), is_finite.long())


def _bits(number: Tensor) -> Tensor:
    """A real number as the integer that has the same bits, so that all can be fetched together."""
    return number.view(torch.int64) if number.dtype is torch.float64 else number.view(torch.int32).to(torch.int64)


def _decoded(pending: _Pending, row: Sequence[int]) -> Statistics:
    (lowest, highest, mean, std), (nan, inf, zeros), histogram = row[:4], row[4:7], row[7:]
    finite = pending.count - nan - inf
    is_real = pending.dtype.is_floating_point
    return Statistics(
        pending.count,
        (_real(lowest, pending.real) if is_real else lowest) if finite else None,
        (_real(highest, pending.real) if is_real else highest) if finite else None,
        mean=_real(mean, pending.real) if finite else None,
        std=_real(std, pending.real) if finite > 1 else None,
        nan=nan,
        inf=inf,
        zeros=zeros,
        histogram=tuple(histogram),
    )


def _real(bits: int, dtype: torch.dtype) -> float:
    whole, real = ("<q", "<d") if dtype is torch.float64 else ("<i", "<f")
    number: float = struct.unpack(real, struct.pack(whole, bits))[0]
    return number
