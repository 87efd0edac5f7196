"""What the targets of a loss are like: of losses that take any numbers, and mean some of them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tensorcheck.events.backward import TargetValues
from tensorcheck.observe.readable import may_read

_OF_PROBABILITIES = ("binary_cross_entropy_with_logits",)
"""Of those that do not raise."""
_OF_SIGNS = ("hinge_embedding_loss", "soft_margin_loss")
_MOST = 1 << 20
_WEIGHT = 2
"""The position of `weight` in the one of probabilities."""


def target_values(
    function: str, args: Sequence[object], kwargs: Mapping[str, object], given: Tensor, target: Tensor
) -> TargetValues | None:
    """Read once; None where nothing can be misread, or what is may be masked afterwards."""
    if not _is_asked(function, given, target) or kwargs.get("reduction") == "none" or not may_read():
        return None
    weight = args[_WEIGHT] if len(args) > _WEIGHT else kwargs.get("weight")
    if function in _OF_PROBABILITIES and weight is not None:
        return None
    with torch.no_grad():
        return _read(target.detach())


def _is_asked(function: str, given: Tensor, target: Tensor) -> bool:
    is_plain = type(target) is Tensor and target.layout is torch.strided and target.device.type == "cpu"
    if not is_plain or target.is_complex() or not 0 < target.numel() <= _MOST or not target.dim():
        return False
    if function == "cross_entropy":
        return target.is_floating_point() and target.shape == given.shape
    return function in (*_OF_PROBABILITIES, *_OF_SIGNS)


def _read(target: Tensor) -> TargetValues:
    numbers = target.to(torch.float64)
    hot = (numbers != 0).sum(1 if numbers.dim() > 1 else 0).max()
    is_whole = bool((numbers == numbers.trunc()).all())
    return TargetValues(float(numbers.min()), float(numbers.max()), is_whole, int(hot))
