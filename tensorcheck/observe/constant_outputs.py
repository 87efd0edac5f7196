"""Whether a model returned the same for every sample of a batch.

It reads values, so it is asked in traced steps alone, and on the CPU in a few later ones, ever farther apart.
"""

import torch
from torch import Tensor

from tensorcheck.observe.describe import tensors_in
from tensorcheck.observe.readable import may_read

_FEWEST = 4
"""Of fewer samples it says little."""
_FEW = 16
"""Values of a row that are looked at before all of them are."""


_ROUNDING = 1e-6
"""What a row may differ from another one by for its place in the batch alone."""
LATER = frozenset(step << power for step in (8, 12) for power in range(1, 24))
"""The steps at which it is asked again."""


def is_constant_later(args: object, result: object) -> bool | None:
    """Likewise, where it makes nobody wait; None too of a model that is entirely sure of one answer for all.

    >>> rows = torch.rand(8, 2)
    >>> answers = torch.full((8, 1), 0.4, requires_grad=True) + 0
    >>> is_constant_later((rows,), answers)
    True
    """
    outputs = [each for each in tensors_in(result) if each.requires_grad]
    if any(each.device.type != "cpu" for each in (*tensors_in(args), *outputs)):
        return None
    answer = is_constant(args, result)
    if answer:
        with torch.no_grad():
            return None if all(_is_sure(each) for each in outputs) else True
    return answer


def _is_sure(tensor: Tensor) -> bool:
    """Whether all are 0 or 1, as the chances of a policy that has decided."""
    return bool(((tensor.abs() < _ROUNDING) | ((tensor - 1).abs() < _ROUNDING)).all())


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
    return _is_alike(few) and _is_alike(rows)


def _is_alike(rows: Tensor) -> bool:
    return bool(((rows[1:] - rows[:1]).abs() <= _ROUNDING * rows[:1].abs()).all())


def _are_all_different(given: Tensor) -> bool:
    """Whether each sample differs from the first; numbers, of which some are equal by chance, if not all are one."""
    if given.dim() == 1:
        return bool(given.unique().numel() > 1)
    return bool((given[1:] != given[:1]).flatten(1).any(1).all())


def _can_be_asked(tensor: Tensor) -> bool:
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout is torch.strided and not tensor.is_nested
    return is_plain and not tensor.is_meta and tensor.dim() > 0 and tensor.shape[0] >= _FEWEST and tensor.numel() > 0
