"""What a loader hands out, in the groups that make up one optimizer step."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from tensorcheck.training.errors import TrainingError

Batch = tuple[Tensor, Tensor]


def groups_of(batches: Iterable[Any], size: int) -> Iterator[list[Batch]]:
    """As many batches at a time; the last group has what is left.

    >>> one = (torch.zeros(2, 3), torch.zeros(2))
    >>> [len(group) for group in groups_of([one] * 5, 2)]
    [2, 2, 1]
    """
    iterator = iter(batches)
    while group := [as_pair(batch) for batch in islice(iterator, size)]:
        yield group


def as_pair(batch: Any) -> Batch:  # noqa: ANN401 - whatever a collate function returns
    """The inputs and the targets of a batch; `TrainingError` where it is something else."""
    match batch:
        case [Tensor() as inputs, Tensor() as targets]:
            return inputs, targets
        case list() | tuple():
            found = f"{type(batch).__name__} of {', '.join(type(part).__name__ for part in batch)}"
        case _:
            found = type(batch).__name__
    msg = f"the loader handed out a {found}; a pair of tensors, (inputs, targets), is needed"
    raise TrainingError(msg)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move both halves, without waiting for the copy where the memory is pinned."""
    inputs, targets = batch
    return inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
