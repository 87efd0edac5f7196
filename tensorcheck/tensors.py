"""What is known of a tensor without looking at its values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """A tensor's metadata, taken at one moment; it holds no reference to the tensor.

    >>> print(TensorMeta((32, 10), "float32", "cpu", requires_grad=True))
    float32[32, 10] cpu, grad
    """

    shape: tuple[int, ...]
    dtype: str
    """As PyTorch names it, without the `torch.` in front: `float32`."""
    device: str
    requires_grad: bool = False
    is_leaf: bool = True

    @property
    def notation(self) -> str:
        """Dtype and shape alone, as expectations are written: `float32[32, 10]`.

        >>> TensorMeta((), "int64", "cpu").notation
        'int64[]'
        """
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    @property
    def is_floating_point(self) -> bool:
        """Whether the dtype is real and can carry a gradient.

        >>> TensorMeta((2,), "bfloat16", "cpu").is_floating_point, TensorMeta((2,), "int64", "cpu").is_floating_point
        (True, False)
        """
        return self.dtype.startswith(("float", "bfloat"))

    def __str__(self) -> str:
        return f"{self.notation} {self.device}{', grad' if self.requires_grad else ''}"


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """A tensor as its user can reach it: `input`, `batch[1]`, `batch["image"]`, `self.scale`.

    >>> print(NamedTensor("target", TensorMeta((32,), "int64", "cpu")))
    target: int64[32] cpu
    """

    name: str
    meta: TensorMeta

    def __str__(self) -> str:
        return f"{self.name}: {self.meta}"
