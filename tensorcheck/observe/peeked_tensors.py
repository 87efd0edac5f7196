"""One tensor or array as a line of a peek, and the values of it that can be read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tensorcheck.observe.describe import is_a, tensor_meta
from tensorcheck.peeks import PeekRow
from tensorcheck.tensors import TensorMeta


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a peek to which the statistics are yet to come."""

    row: PeekRow
    values: Tensor | None = None


def tensor_line(tensor: Tensor, name: str, kind: str = "") -> Line:
    """A tensor, without waiting for its device."""
    meta = tensor_meta(tensor)
    if is_lazy(tensor):
        return Line(PeekRow(name, f"{meta.dtype}[?] {meta.device}", kind, notes=("not initialised yet",)))
    own = "" if type(tensor) in (Tensor, nn.Parameter) else type(tensor).__name__
    row = PeekRow(name, _shown(meta), kind or own, _gradient(tensor, meta), notes=tuple(_notes(tensor)))
    return Line(row, values_of(tensor))


def _shown(meta: TensorMeta) -> str:
    sizes = ", ".join("?" if size < 0 else str(size) for size in meta.shape)
    return f"{meta.dtype}[{sizes}] {meta.device}"


def _gradient(tensor: Tensor, meta: TensorMeta) -> str:
    if not meta.requires_grad:
        return "frozen" if is_a(tensor, nn.Parameter) else ""
    if not meta.is_leaf:
        return type(tensor.grad_fn).__name__
    return "leaf" if tensor.grad is None else "leaf, has grad"


def _notes(tensor: Tensor) -> Iterator[str]:
    if _is_without_values(tensor):
        yield "no values"
    elif not _has_dims(tensor):
        yield f"{str(tensor.layout).removeprefix('torch.')}, of the values stored"
    elif not tensor.numel():
        yield "empty"
    elif tensor.layout is torch.strided and not tensor.is_contiguous():
        yield "not contiguous"
    if tensor.is_complex():
        yield "of absolute values"
    if tensor.is_inference():
        yield "made in inference mode"


def values_of(tensor: Tensor) -> Tensor | None:
    """The values in an ordinary tensor; None where it has none of its own, or code of others computes them."""
    if _is_without_values(tensor):
        return None
    if _has_dims(tensor):
        return tensor.detach()
    return tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()  # noqa: SLF001 - uncoalesced ones


def _has_dims(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_nested


def _is_without_values(tensor: Tensor) -> bool:
    """Whether it is on the meta device, a wrapper around others (a fake or distributed tensor), or being captured."""
    is_wrapper = type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__ and not tensor.is_nested
    if tensor.is_meta or is_wrapper or torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # noqa: SLF001 - no other
        return True
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def array_line(array: np.ndarray | np.generic, name: str) -> Line:
    """A NumPy array or number."""
    whole = np.asarray(array)
    row = PeekRow(name, f"{whole.dtype}[{', '.join(map(str, whole.shape))}] numpy", _own_kind(array))
    return Line(row, _as_tensor(whole) if whole.dtype.kind in _NUMBERS and whole.size else None)


_NUMBERS = "biufc"


def _own_kind(array: object) -> str:
    return "" if type(array) is np.ndarray else type(array).__name__


def _as_tensor(array: np.ndarray) -> Tensor | None:
    """The same memory where PyTorch can use that."""
    if array.dtype.itemsize > 8 and array.dtype.kind == "f":  # noqa: PLR2004 - bytes
        array = array.astype(np.float64)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    is_usable = native.flags.writeable and all(stride >= 0 for stride in native.strides)
    try:
        return torch.from_numpy(native if is_usable else native.copy())
    except (TypeError, ValueError):
        return None
