"""`assert_close`: that of PyTorch, with what may be behind the difference."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tensorcheck.observe.describe import tensor_meta
from tensorcheck.testing.failing import Complaint, fail
from tensorcheck.testing.rehearsing import first_difference

_LARGEST = 1 << 20
"""Elements of a tensor up to which it is tried what makes it equal."""


def assert_close(  # noqa: PLR0913 - those of PyTorch
    actual: Any,  # noqa: ANN401 - a tensor, a number, or a structure of them
    expected: Any,  # noqa: ANN401 - likewise
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
) -> None:
    """What `torch.testing.assert_close` asserts, with the same tolerances.

    Where it fails, the message begins with which tensor it is, the values that are furthest apart, and what would make
    them equal if that is something simple: a transposition, a sign, a factor, a cast.

    >>> assert_close(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 3.0], [2.0, 4.0]]))
    Traceback (most recent call last):
    AssertionError: `torch.tensor([[1.0, 2.0], [3.0, 4.0]])` is float32[2, 2] cpu
      expected: float32[2, 2] cpu
      at [0, 1] it is 2.0 and should be 3.0
      its transpose is close to what is expected
    Tensor-likes are not close!
    <BLANKLINE>
    Mismatched elements: 2 / 4 (50.0%)
    Greatest absolute difference: 1.0 at index (0, 1) (up to 1e-05 allowed)
    Greatest relative difference: 0.5 at index (1, 0) (up to 1.3e-06 allowed)
    """
    __tracebackhide__ = True
    asked = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan}
    try:
        torch.testing.assert_close(actual, expected, check_device=check_device, check_dtype=check_dtype, **asked)  # type: ignore[arg-type]  # as it came
    except AssertionError as error:
        words = str(error)
    else:
        return
    found = list(_complaints(actual, expected, "value", lambda one, other: _is_close(one, other, asked)))
    fail(found, more=words) if found else fail([Complaint("value", "not close to what is expected")], more=words)


def _is_close(one: Tensor, other: Tensor, asked: Mapping[str, Any]) -> bool:
    try:
        torch.testing.assert_close(one, other, check_device=False, check_dtype=False, check_stride=False, **asked)
    except (AssertionError, RuntimeError, TypeError, ValueError):
        return False
    return True


def _complaints(
    actual: object, expected: object, name: str, is_close: Callable[[Tensor, Tensor], bool]
) -> Iterator[Complaint]:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        for key in actual.keys() & expected.keys():
            yield from _complaints(actual[key], expected[key], f"{name}[{key!r}]".replace("'", '"'), is_close)
    elif isinstance(actual, Sequence) and isinstance(expected, Sequence) and not isinstance(actual, str):
        for index, (one, other) in enumerate(zip(actual, expected, strict=False)):
            yield from _complaints(one, other, f"{name}[{index}]", is_close)
    elif isinstance(actual, Tensor) and isinstance(expected, Tensor) and not _are_alike(actual, expected, is_close):
        reasons = tuple(_reasons(actual, expected, is_close))
        yield Complaint(name, tensor_meta(actual), str(tensor_meta(expected)), reasons)


def _are_alike(actual: Tensor, expected: Tensor, is_close: Callable[[Tensor, Tensor], bool]) -> bool:
    has_same_kind = actual.dtype is expected.dtype and actual.device == expected.device
    return has_same_kind and is_close(actual, expected)


def _reasons(actual: Tensor, expected: Tensor, is_close: Callable[[Tensor, Tensor], bool]) -> Iterator[str]:
    one, other = actual.detach(), expected.detach()
    if one.shape == other.shape:
        difference = first_difference({"value": one.cpu()}, {"value": other.cpu().to(one.dtype)})
        if difference is not None:
            where, _, values = difference.removeprefix("`value`").partition(" is ")
            left, _, right = values.partition(" and ")
            yield f"{f'at {where} ' if where else ''}it is {left} and should be {right}"
    if one.numel() <= _LARGEST:
        yield from (
            told for told, changed in _changes(one.cpu(), other.cpu()) if _makes_close(changed, other.cpu(), is_close)
        )


def _makes_close(changed: Callable[[], Tensor], expected: Tensor, is_close: Callable[[Tensor, Tensor], bool]) -> bool:
    try:
        return is_close(changed(), expected)
    except (RuntimeError, TypeError):
        return False


def _changes(one: Tensor, other: Tensor) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """What often lies between two tensors that should be equal."""
    if one.isnan().any():
        yield "only its NaN are unlike what is expected", lambda: torch.where(one.isnan(), other, one)
    if one.dtype is not other.dtype and one.shape == other.shape:
        yield (
            f"cast to {str(other.dtype).removeprefix('torch.')} it is close to what is expected",
            lambda: one.to(other.dtype),
        )
    if one.shape == other.shape and other.any():
        yield "with the other sign it is close to what is expected", lambda: -one
        factor = _factor(one, other)
        if factor not in (0.0, 1.0, -1.0):
            yield f"{factor:.6g} times it is close to what is expected", lambda: one * factor
    if one.dim() > 1 and one.transpose(-1, -2).shape == other.shape:
        yield "its transpose is close to what is expected", lambda: one.transpose(-1, -2)
    if one.shape != other.shape and one.numel() == other.numel():
        yield f"reshaped to {list(other.shape)} it is close to what is expected", lambda: one.reshape(other.shape)


def _factor(one: Tensor, other: Tensor) -> float:
    """By what the least squares of their difference would be least."""
    left, right = one.to(torch.float64).flatten(), other.to(torch.float64).flatten()
    squares = float(left @ left)
    return float(left @ right) / squares if squares > 0 and squares == squares else 0.0  # noqa: PLR0124 - NaN is not itself
