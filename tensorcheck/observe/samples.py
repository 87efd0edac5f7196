"""What a dataset hands out, as plain facts."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tensorcheck.loading import Family, Unfit, Value
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.tensors import TensorMeta

_DEEPEST = 5
_WIDEST = 64
"""Structures beyond these are cut."""
_LONGEST = 40
"""Characters of a text that is told as it is."""


def value_meta(value: object, depth: int = _DEEPEST) -> Value:
    """What a value is, to the depth that a batch is made of."""
    family = _family(value)
    return Value(
        kind=kind_of(value),
        family=family,
        meta=array_meta(value),
        length=len(value) if family in ("mapping", "sequence") else None,  # type: ignore[arg-type]  # both have one
        parts=tuple((key, value_meta(part, depth - 1)) for key, part in _parts(value, family)) if depth else (),
        plain=value if isinstance(value, bool | int | float | str) and len(str(value)) <= _LONGEST else None,
        unfit=_unfit(value, family),
    )


def kind_of(value: object) -> str:
    """The name of a value's class, as PyTorch's messages write it, without the module of what everyone knows."""
    cls = type(value)
    if isinstance(value, Tensor):
        return "Tensor"
    return cls.__qualname__ if cls.__module__ in ("builtins", "__main__") else f"{cls.__module__}.{cls.__qualname__}"


def array_meta(value: object) -> TensorMeta | None:
    """A tensor's or an array's metadata; a dtype of NumPy that PyTorch does not have keeps NumPy's name."""
    if isinstance(value, Tensor):
        return tensor_meta(value)
    if isinstance(value, np.ndarray):
        dtype = "str" if value.dtype.kind in "US" else str(value.dtype)
        return TensorMeta(value.shape, dtype, "cpu")
    return None


def _family(value: object) -> Family:  # noqa: PLR0911 - one return for each kind
    match value:
        case Tensor():
            return "tensor"
        case np.ndarray():
            return "array"
        case str() | bytes():
            return "text"
        case bool() | int() | float() | np.number() | np.bool_():
            return "number"
        case Mapping():
            return "mapping"
        case Sequence():
            return "sequence"
        case _:
            return "other"


def _parts(value: object, family: Family) -> Iterator[tuple[str, object]]:
    if family == "mapping" and isinstance(value, Mapping):
        yield from ((f"[{_quoted(key)}]", value[key]) for key in list(value)[:_WIDEST])
    elif family == "sequence" and isinstance(value, list | tuple):
        yield from ((f"[{place}]", part) for place, part in enumerate(value[:_WIDEST]))


def _quoted(key: object) -> str:
    return f'"{key}"' if isinstance(key, str) else repr(key)


def _unfit(value: object, family: Family) -> Unfit | None:
    match value:
        case Tensor():
            return _unfit_tensor(value)
        case np.ndarray():
            return _unfit_array(value)
        case int() if not -(2**63) <= value < 2**63:
            return Unfit.OVERFLOW
        case _:
            return Unfit.TYPE if family == "other" else None


def _unfit_tensor(tensor: Tensor) -> Unfit | None:
    if tensor.is_nested:
        return Unfit.NESTED
    return Unfit.SPARSE if tensor.layout is not torch.strided else None


def _unfit_array(array: np.ndarray) -> Unfit | None:
    if array.dtype.kind not in "biufc":
        return Unfit.DTYPE
    return Unfit.STRIDES if any(stride < 0 for stride in array.strides) else None
