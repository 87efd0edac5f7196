"""Where in a tensor one part of a batch lies: along a dim of its own, or along one that it shares with others."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """Along which dim the parts lie, each so many elements long before the next one follows."""

    dim: int
    run: int
    is_alone: bool
    """Whether that dim has one place for each part and nothing else."""


def layouts(changed: Tensor, parts: int, part: int) -> tuple[Layout, ...]:
    """The ways in which the elements that changed can be those of one of so many parts.

    >>> changed = torch.tensor([[False, False], [True, True], [False, False]])
    >>> layouts(changed, parts=3, part=1)
    (Layout(dim=0, run=1, is_alone=True),)
    >>> layouts(changed.flatten(), parts=3, part=1)
    (Layout(dim=0, run=2, is_alone=False),)
    >>> layouts(torch.ones(3, 2, dtype=torch.bool), parts=3, part=1)
    ()
    """
    return tuple(
        Layout(dim, run, size == parts)
        for dim, size in enumerate(changed.shape)
        for run in _runs(size, parts)
        if bool(((_places(changed, dim) // run) % parts == part).all())
    )


def _places(changed: Tensor, dim: int) -> Tensor:
    """The positions along a dim at which anything changed."""
    return (
        changed.movedim(dim, 0).flatten(1).any(1).nonzero().flatten()
        if changed.dim() > 1
        else changed.nonzero().flatten()
    )


def _runs(size: int, parts: int) -> list[int]:
    return [run for run in range(1, size // parts + 1) if size % (run * parts) == 0]


def differences(one: Tensor, other: Tensor) -> Tensor | None:
    """Which elements of two tensors differ by more than rounding; None where the tensors are not alike at all.

    >>> differences(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))
    tensor([False,  True])
    """
    if one.shape != other.shape or one.dtype != other.dtype:
        return None
    if not one.is_floating_point() and not one.is_complex():
        return one != other
    unlike = (one != other) & ~(one.isnan() & other.isnan())
    if not bool(unlike.any()):
        return unlike
    sizes = one.abs().nan_to_num(posinf=0.0)
    scale = sizes.masked_fill(sizes > _LARGEST, 0.0).amax() + sizes.masked_fill(sizes <= _LARGEST, 0.0)
    rounding = torch.finfo(one.dtype).eps * _ROUNDINGS * scale
    distance = (one - other).abs().nan_to_num(nan=torch.inf)
    return unlike & (distance > rounding)


_ROUNDINGS = 1000
"""How many times the smallest step between two numbers counts as rounding: kernels for other sizes sum otherwise."""
_LARGEST = 1e4
"""Beyond this a number may be there to mask, as -1e9 is, and says nothing of how large the others are."""
