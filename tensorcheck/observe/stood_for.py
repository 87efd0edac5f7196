"""The whole numbers that a meta tensor stands for, where somebody has them: a copy of a batch that is at hand."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_KNOWN: ContextVar[Mapping[int, Tensor]] = ContextVar("known", default={})  # noqa: B039 - nobody writes to it


@contextmanager
def standing_for(numbers: Mapping[int, Tensor]) -> Iterator[None]:
    """Within, these are the values of the meta tensors with these storages."""
    token = _KNOWN.set(numbers)
    try:
        yield
    finally:
        _KNOWN.reset(token)


def numbers_of(tensor: Tensor) -> Tensor | None:
    """The values of a tensor on the meta device, if all of its storage's are known, whatever its shape.

    >>> twin = torch.empty(4, dtype=torch.int64, device="meta")
    >>> with standing_for({storage_number(twin): torch.arange(4)}):
    ...     numbers_of(twin.view(2, 2))
    tensor([0, 1, 2, 3])
    """
    known = _KNOWN.get()
    if not known or not tensor.is_meta or tensor.layout is not torch.strided:
        return None
    numbers = known.get(storage_number(tensor))
    return numbers if numbers is not None and numbers.numel() == tensor.numel() else None


def storage_number(tensor: Tensor) -> int:
    """What tells a tensor's storage from all others that are alive."""
    number: int = tensor.untyped_storage()._cdata  # noqa: SLF001 - the only name that it has
    return number
