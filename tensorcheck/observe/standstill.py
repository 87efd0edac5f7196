"""Whether parameters stand still from one moment to the next, by whatever means they might be moved.

A write under `no_grad` raises a tensor's version; one through `.data` or by the hand of NumPy does not, so their sums
are compared too. That waits for the device, and is done for parameters alone that no optimizer holds.
"""

import math
import weakref
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

_Look = tuple[int, int, float | None]


class Standing:
    """Parameters by their names, as they were; those that are gone or were moved are let go.

    >>> table, bias = torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(4))
    >>> standing = Standing({"table": table, "bias": bias})
    >>> table.data[2] -= 1
    >>> standing.names()
    ('bias',)
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = {name: (weakref.ref(tensor), _look(tensor)) for name, tensor in tensors.items()}

    def names(self) -> tuple[str, ...]:
        """Those that are there still, want a gradient and were never moved."""
        alive = {
            name: (tensor, look) for name, (known, look) in self._tensors.items() if (tensor := known()) is not None
        }
        still = [
            name for name, (tensor, look) in alive.items() if tensor.requires_grad and _is_same(_look(tensor), look)
        ]
        self._tensors = {name: self._tensors[name] for name in still}
        return tuple(still)

    def without(self, taken: Iterable[int]) -> tuple[str, ...]:
        """Those of `names` whose ids are none of these."""
        ids = frozenset(taken)
        return tuple(name for name in self.names() if id(self._tensors[name][0]()) not in ids)


def _look(tensor: Tensor) -> _Look:
    with torch._C.DisableTorchFunction(), _disable_current_modes(), torch.no_grad():  # noqa: SLF001 - not for a user's modes to see
        return tensor._version, tensor.data_ptr(), _sum(tensor.detach())  # noqa: SLF001 - no public way


def _sum(tensor: Tensor) -> float | None:
    """A sum that a small change changes; None where the values can't be had."""
    try:
        return tensor.sum(dtype=torch.float32 if tensor.is_mps else torch.float64).item()
    except Exception:  # noqa: BLE001 - meta, sharded, quantized: then the version alone tells
        return None


def _is_same(now: _Look, before: _Look) -> bool:
    return now[:2] == before[:2] and (now[2] == before[2] or _is_nan(now[2], before[2]))


def _is_nan(now: float | None, before: float | None) -> bool:
    return now is not None and before is not None and math.isnan(now) and math.isnan(before)
