"""Batches that are only described: a `TensorSpec` stands for a tensor without values."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tensorcheck.specs.dims import Computed, Dim, Fixed, Named, Several
from tensorcheck.specs.spec import TensorSpec

_BATCH = 2
"""How large a dim called `batch` is."""
_OF_KINDS: Mapping[str, torch.dtype] = {
    "float": torch.float32,
    "inexact": torch.float32,
    "real": torch.float32,
    "num": torch.float32,
    "int": torch.int64,
    "integer": torch.int64,
    "uint": torch.uint8,
    "complex": torch.complex64,
}


def without_values(batch: Any) -> Any:  # noqa: ANN401 - whatever a loader yields
    """The same structure, with a tensor on the meta device in the place of each spec.

    A dim called `batch` is 2; every other name needs its size, as `h=224`. A `ValueError` names one that has none.

    >>> without_values({"x": TensorSpec("batch 3 h=8 h=8", dtype="float16")})["x"].shape
    torch.Size([2, 3, 8, 8])
    >>> without_values(TensorSpec("batch seq"))
    Traceback (most recent call last):
    ValueError: batch: 'seq' of [batch seq] has no size; write seq=16, or the size that it should have
    """
    if isinstance(batch, TensorSpec):
        return _made(batch)
    if isinstance(batch, Mapping) and any(_is_described(part) for part in batch.values()):
        return {name: without_values(part) for name, part in batch.items()}
    if type(batch) in (list, tuple) and any(_is_described(part) for part in batch):
        return type(batch)(without_values(part) for part in batch)
    return batch


def _is_described(part: object) -> bool:
    if isinstance(part, Mapping):
        return any(_is_described(each) for each in part.values())
    if isinstance(part, list | tuple):
        return any(_is_described(each) for each in part)
    return isinstance(part, TensorSpec)


def _made(spec: TensorSpec) -> Tensor:
    sizes = [size for dim in spec.dims.dims for size in _sizes(dim, spec)]
    dtype = _dtype(spec.dtype[0]) if spec.dtype else torch.float32
    made = torch.empty(sizes, dtype=dtype, device="meta")
    return made.requires_grad_() if spec.requires_grad else made


def _sizes(dim: Dim, spec: TensorSpec) -> tuple[int, ...]:
    match dim:
        case Fixed(size=size):
            return (size,)
        case Named(name="batch"):
            return (_BATCH,)
        case Several():
            return ()
        case Computed(expression=expression) if set(expression.names) <= {"batch"}:
            value = expression.value({"batch": _BATCH})
            if isinstance(value, int):
                return (value,)
    name = dim.name if isinstance(dim, Named) else str(dim)
    msg = f"batch: {name!r} of {spec} has no size; write {name}=16, or the size that it should have"
    raise ValueError(msg)


def _dtype(word: str) -> torch.dtype:
    return _OF_KINDS.get(word) or getattr(torch, word)
