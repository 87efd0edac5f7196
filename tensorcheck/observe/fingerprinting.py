"""Fingerprints of tensors, computed where the tensors are and fetched once a step.

Nothing here draws a random number, waits for a device before the step is over, or keeps a tensor of the user's: what
waits is the few numbers that were computed of it. Sums are written as sums and not as products of matrices, which some
devices refuse to compute where `torch.use_deterministic_algorithms` asks for the same bits each time.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import _disable_current_modes

from tensorcheck.fingerprints import SKETCH, Fingerprint
from tensorcheck.observe.patches import unheard
from tensorcheck.observe.peeked_tensors import values_of

_BLOCK = 1 << 16
"""How many values have weights of their own; each block of so many has one more, for all of them."""
_BLOCKS_AT_ONCE = 64
"""On an accelerator; what a processor goes through together is to fit into its cache."""
_UNREADABLE = (RuntimeError, NotImplementedError, TypeError, AttributeError, ValueError, IndexError)
"""What PyTorch raises for a kind of tensor that it computes nothing of."""
_LOWEST = 0.5
"""The absolute value that no weight is below, so that no value counts for nothing."""


class Fingerprints:
    """The fingerprints of one step, by the numbers under which they were taken."""

    def __init__(self, weights: "Weights") -> None:
        self._weights = weights
        self._pending: dict[int, tuple[int, Tensor]] = {}
        self._fetched: dict[int, Fingerprint] = {}
        self._taken = 0

    def take(self, tensor: Tensor) -> int:
        """Have the values of a tensor looked at, without waiting for that."""
        self._taken += 1
        try:
            with _out_of_sight():
                row = None if is_lazy(tensor) else self._row(tensor)
        except _UNREADABLE:
            row = None
        if row is not None:
            self._pending[self._taken] = row
        return self._taken

    def _row(self, tensor: Tensor) -> tuple[int, Tensor] | None:
        values = values_of(tensor)
        if values is None or not values.numel() or values.layout is not torch.strided:
            return None
        flat = (torch.view_as_real(values.resolve_conj()) if values.is_complex() else values).reshape(-1)
        return flat.numel(), _row(flat, *self._weights.on(flat.device))

    def of(self, number: int) -> Fingerprint | None:
        """The fingerprint that was taken under a number; None where the values could not be read."""
        if number in self._pending:
            self.fetch()
        return self._fetched.get(number)

    def fetch(self) -> None:
        """Wait for what was computed so far: once for each device."""
        by_device: dict[torch.device, list[int]] = defaultdict(list)
        for number, (_, row) in self._pending.items():
            by_device[row.device].append(number)
        with _out_of_sight():
            for numbers in by_device.values():
                rows = torch.stack([self._pending[number][1] for number in numbers]).tolist()
                self._fetched |= {
                    number: _fingerprint(self._pending[number][0], row)
                    for number, row in zip(numbers, rows, strict=True)
                }
        self._pending.clear()


@contextmanager
def _out_of_sight() -> Iterator[None]:
    """Within, nobody hears of what is computed: no mode, no subclass, no listener of ours, and no autograd."""
    with unheard(), torch._C.DisableTorchFunction(), _disable_current_modes(), torch.no_grad():  # noqa: SLF001 - no other
        yield


class Weights:
    """The fixed weights of the sketches, on each device on which they were needed."""

    def __init__(self) -> None:
        self._known: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Those of the values of a block, and those of the blocks."""
        if device not in self._known:
            real = torch.float32 if device.type == "mps" else torch.float64
            made = [torch.from_numpy(_weights(stream)).to(device=device, dtype=real) for stream in (0, 1)]
            self._known[device] = (made[0], made[1])
        return self._known[device]


def _weights(stream: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Weights of mean square 1 and of either sign, the same on every machine: a hash of their places.

    The hash is the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
    """
    with np.errstate(over="ignore"):
        bits = (np.arange(_BLOCK, dtype=np.uint64) + np.uint64(1 + stream * _BLOCK)) * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    # The highest for which the mean square of what is spread evenly between both is 1.
    highest = (-_LOWEST + np.sqrt(12 - 3 * _LOWEST**2)) / 2
    sizes = _LOWEST + (highest - _LOWEST) * ((bits >> np.uint64(12)) / float(1 << 52))
    signed: np.ndarray[tuple[int], np.dtype[np.float64]] = np.where(bits & np.uint64(1), sizes, -sizes)
    return signed


def _row(flat: Tensor, weights: Tensor, of_blocks: Tensor) -> Tensor:
    """The numbers of a fingerprint: sums first, then the lowest, the highest and the sketch."""
    parts = torch.cat([_block_rows(blocks, weights) for blocks in _in_blocks(flat)])
    if len(parts) == 1:
        return torch.cat([parts[0, :-SKETCH], parts[0, -SKETCH:] * of_blocks[0]])
    places = torch.arange(len(parts), device=flat.device) % _BLOCK
    sketch = (parts[:, -SKETCH:] * of_blocks[places, None]).sum(0)
    return torch.cat([parts[:, :4].sum(0), parts[:, 4].amin()[None], parts[:, 5].amax()[None], sketch])


def _in_blocks(flat: Tensor) -> Iterator[Tensor]:
    """The values in rows of one block each, with what is left over in a shorter row."""
    whole = flat.numel() // _BLOCK * _BLOCK
    at_once = _BLOCK if flat.device.type == "cpu" else _BLOCK * _BLOCKS_AT_ONCE
    for start in range(0, whole, at_once):
        yield flat[start : min(start + at_once, whole)].view(-1, _BLOCK)
    if whole < flat.numel():
        yield flat[whole:].view(1, -1)


def _block_rows(blocks: Tensor, weights: Tensor) -> Tensor:
    """For each row: how many are NaN and infinite, sum, sum of squares, lowest, highest, and its part of the sketch."""
    values = blocks.to(weights.dtype)
    if blocks.is_floating_point():
        nan = values.isnan().sum(1).to(weights.dtype)
        infinite = values.isinf().sum(1).to(weights.dtype)
        values = values.nan_to_num(0.0, posinf=0.0, neginf=0.0)
    else:
        nan = infinite = values.new_zeros(len(values))
    lowest, highest = values.aminmax(dim=1)
    told = torch.stack([nan, infinite, values.sum(1), values.square().sum(1), lowest, highest], dim=1)
    weighted = values * weights[: values.shape[1]]
    short = -values.shape[1] % SKETCH
    spread = pad(weighted, (0, short)) if short else weighted
    return torch.cat([told, spread.view(len(values), SKETCH, -1).sum(2)], dim=1)


def _fingerprint(count: int, row: Sequence[float]) -> Fingerprint:
    nan, inf, total, squares, low, high, *sketch = [_bounded(number) for number in row]
    norm = float(np.sqrt(squares))
    return Fingerprint(count, norm, total / count, low, high, tuple(sketch), nan=int(nan), inf=int(inf))


def _bounded(number: float) -> float:
    """The number, or the largest there is: the squares of float64 values may add up to more."""
    return min(max(number, -sys.float_info.max), sys.float_info.max) if number == number else 0.0  # noqa: PLR0124 - NaN
