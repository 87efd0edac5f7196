"""Whether a model returned the same for every sample of a batch; asked in traced steps alone, for it reads values."""

import torch
from torch import Tensor

from tensorcheck.observe.describe import tensors_in
from tensorcheck.observe.readable import may_read

_FEWEST = 4
"""Of fewer samples it says little."""
_FEW = 16
"""Values of a row that are looked at before all of them are."""


def is_constant(args: object, result: object) -> bool | None:
    """Whether all outputs are the same in each row and not zero; None where the samples might be the same too."""
    given = next((each for each in tensors_in(args) if each.dim()), None)
    outputs = [each for each in tensors_in(result) if each.requires_grad]
    if given is None or not outputs or not all(_can_be_asked(each) for each in (given, *outputs)):
        return None
    if any(each.shape[:1] != given.shape[:1] or each.stride(0) == 0 for each in outputs):
        return None
    if not may_read():
        return None
    with torch.no_grad():
        if not all(_are_equal_rows(each) and bool(each.any()) for each in outputs):
            return False
        return True if _are_all_different(given) else None


def _are_equal_rows(tensor: Tensor) -> bool:
    rows = tensor.flatten(1) if tensor.dim() > 1 else tensor.unsqueeze(1)
    few = rows[:, :_FEW]  # of nearly every model these differ
    return bool((few[1:] == few[:1]).all()) and bool((rows[1:] == rows[:1]).all())


def _are_all_different(given: Tensor) -> bool:
    """Whether each sample differs from the first; numbers, of which some are equal by chance, if not all are one."""
    if given.dim() == 1:
        return bool(given.unique().numel() > 1)
    return bool((given[1:] != given[:1]).flatten(1).any(1).all())


def _can_be_asked(tensor: Tensor) -> bool:
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout is torch.strided and not tensor.is_nested
    return is_plain and not tensor.is_meta and tensor.dim() > 0 and tensor.shape[0] >= _FEWEST and tensor.numel() > 0
