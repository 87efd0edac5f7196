"""Whether a model returned the same for every sample of a batch; asked in traced steps alone, for it reads values."""

import torch
from torch import Tensor

from tensorcheck.observe.describe import tensors_in
from tensorcheck.observe.readable import may_read

_FEWEST = 4
"""Of fewer samples it says little."""


def is_constant(args: object, result: object) -> bool | None:
    """Whether all outputs are the same in each row and not zero; None where samples can't be told apart."""
    given = next((each for each in tensors_in(args) if each.dim()), None)
    outputs = [each for each in tensors_in(result) if each.requires_grad]
    if given is None or not outputs or not all(_can_be_asked(each) for each in (given, *outputs)):
        return None
    if any(each.shape[:1] != given.shape[:1] or each.stride(0) == 0 for each in outputs):
        return None
    if not may_read():
        return None
    with torch.no_grad():
        differ = (
            bool((given[1:] != given[:1]).flatten(1).any(1).all())
            if given.dim() > 1
            else bool(given.unique().numel() > 1)
        )
        return None if not differ else all(bool((each[1:] == each[:1]).all()) and bool(each.any()) for each in outputs)


def _can_be_asked(tensor: Tensor) -> bool:
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout is torch.strided and not tensor.is_nested
    return is_plain and not tensor.is_meta and tensor.dim() > 0 and tensor.shape[0] >= _FEWEST and tensor.numel() > 0
