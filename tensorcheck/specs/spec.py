"""`tensorcheck.TensorSpec`: what a tensor has to be."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tensorcheck.specs.dtypes import dtype_words, shown, takes
from tensorcheck.specs.shape_strings import ShapeSpec, SpecError, match_shape, read_shape

Aspect = Literal["shape", "dtype", "device", "requires_grad"]


class TensorLike(Protocol):
    """What of a tensor a spec speaks of."""

    @property
    def shape(self) -> Any: ...  # noqa: ANN401, D102 - as PyTorch has it
    @property
    def dtype(self) -> Any: ...  # noqa: ANN401, D102 - likewise
    @property
    def device(self) -> Any: ...  # noqa: ANN401, D102 - likewise
    @property
    def requires_grad(self) -> bool: ...  # noqa: D102 - likewise


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One respect in which a tensor is not what it should be."""

    aspect: Aspect
    why: str

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a tensor has to be: its shape, and its dtype, device and `requires_grad` where they are named.

    The words of the shape are those of jaxtyping: numbers, names (equal names are equal sizes), `_` for any size,
    `...` for any number of dims and `*name` for the same ones elsewhere, `#name` for a size of 1 too, `rows=4` for 4,
    and arithmetic such as `h/2`. `dtype` is one of PyTorch, its name, a kind (`float`, `int`, `uint`, `integer`,
    `complex`, `inexact`, `real`, `num`), or a list of these. `device` is any of its type where it has no index. What
    can't be read raises a `SpecError` or, of a dtype, a `ValueError`.

    >>> import torch
    >>> spec = TensorSpec("batch 3 h h/2", dtype=torch.float32, requires_grad=False)
    >>> print(spec)
    float32[batch 3 h h/2], no grad
    >>> spec.accepts(torch.zeros(8, 3, 6, 3))
    True
    >>> [str(mismatch) for mismatch in spec.mismatches(torch.zeros(8, 3, 6, 6, dtype=torch.float64))]
    ["dim 3 is 6 and should be h/2, and 'h' is 6", 'its dtype is float64 and should be float32']
    """

    shape: str = "..."
    dtype: Any = field(default=None, kw_only=True)
    device: Any = field(default=None, kw_only=True)
    requires_grad: bool | None = field(default=None, kw_only=True)
    _dims: ShapeSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        dims = read_shape(self.shape)
        words = dtype_words(self.dtype)
        device = None if self.device is None else str(self.device)
        if device is not None and not _DEVICE.fullmatch(device):
            why = f"device: {device!r} is none, such as 'cpu' or 'cuda:1'"
            raise SpecError(why)
        for name, value in (("shape", str(dims)), ("dtype", words), ("device", device), ("_dims", dims)):
            object.__setattr__(self, name, value)  # it is frozen for everybody else

    @classmethod
    def read(cls, text: str) -> "TensorSpec":
        """The spec that is printed so: `float32[batch 3] cuda, grad`, or a shape string alone.

        >>> TensorSpec.read("float|int64[batch] cpu") == TensorSpec("batch", dtype=["float", "int64"], device="cpu")
        True
        """
        if "[" not in text:
            return cls(text)
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            why = f"{text!r} is no spec, such as 'float32[batch 3] cpu, grad'"
            raise SpecError(why)
        words = match["dtype"].split("|") if match["dtype"] else None
        grad = None if match["grad"] is None else match["grad"] == "grad"
        return cls(match["shape"], dtype=words, device=match["device"], requires_grad=grad)

    @classmethod
    def of(cls, tensor: TensorLike) -> "TensorSpec":
        """What exactly a tensor is.

        >>> import torch
        >>> print(TensorSpec.of(torch.zeros(8, 3)))
        float32[8 3] cpu, no grad
        """
        sizes = " ".join(str(int(size)) for size in tensor.shape)
        return cls(sizes, dtype=tensor.dtype, device=tensor.device, requires_grad=tensor.requires_grad)

    @property
    def dims(self) -> ShapeSpec:
        """The words of its shape, one by one."""
        return self._dims

    def accepts(self, tensor: TensorLike, sizes: dict[str, Any] | None = None) -> bool:
        """Whether a tensor is so; the sizes that names have elsewhere are looked up in `sizes`, and added to it."""
        if self.requires_grad is not None and tensor.requires_grad is not self.requires_grad:
            return False
        if self.dtype and not takes(self.dtype, tensor.dtype):
            return False
        if self.device is not None and not _is_on(tensor.device, self.device):
            return False
        return self._dims.fits(tensor.shape, {} if sizes is None else sizes)

    def mismatches(self, tensor: TensorLike, sizes: dict[str, Any] | None = None) -> tuple[Mismatch, ...]:
        """Every respect in which a tensor is not so; empty where it is."""
        return tuple(self._mismatches(tensor, {} if sizes is None else sizes))

    def _mismatches(self, tensor: TensorLike, sizes: dict[str, Any]) -> Iterator[Mismatch]:
        wrong = match_shape(self._dims, tensor.shape, sizes)
        if wrong is not None:
            yield Mismatch("shape", wrong.why)
        if not takes(self.dtype, tensor.dtype):
            name = str(tensor.dtype).removeprefix("torch.")
            yield Mismatch("dtype", f"its dtype is {name} and should be {' or '.join(self.dtype)}")
        if self.device is not None and not _is_on(tensor.device, self.device):
            yield Mismatch("device", f"its device is {tensor.device} and should be {self.device}")
        if self.requires_grad is not None and tensor.requires_grad is not self.requires_grad:
            yield Mismatch(
                "requires_grad", f"its requires_grad is {tensor.requires_grad} and should be {self.requires_grad}"
            )

    def __str__(self) -> str:
        device = f" {self.device}" if self.device is not None else ""
        grad = "" if self.requires_grad is None else ", grad" if self.requires_grad else ", no grad"
        return f"{shown(self.dtype)}[{self.shape}]{device}{grad}"

    def __repr__(self) -> str:
        dtype = self.dtype[0] if len(self.dtype) == 1 else self.dtype or None
        named = {"dtype": dtype, "device": self.device, "requires_grad": self.requires_grad}
        given = [f"{name}={value!r}" for name, value in named.items() if value is not None]
        return f"TensorSpec({', '.join([repr(self.shape), *given])})"


_DEVICE = re.compile(r"[a-z]\w*(:\d+)?")
_NOTATION = re.compile(
    r"(?P<dtype>[\w|]*)\[(?P<shape>[^\[\]]*)\](?: (?P<device>[a-z]\w*(?::\d+)?))?(?:, (?P<grad>(?:no )?grad))?"
)


@functools.lru_cache(maxsize=256)
def _is_on(device: object, wanted: str) -> bool:
    shown_device = str(device)
    return shown_device == wanted or shown_device.partition(":")[0] == wanted
