"""A few samples of what a model was called with, copied so that questions can be put to a copy of it later."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from tensorcheck.experiment.copies import CannotCopyError
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta

MOST_ROWS = 4
_LEAST_ROWS = 2
_CHOICES = (3, 4, 2)
"""How many samples are asked, the best first: three, for no size that a network has is a multiple of it by chance."""
_LARGE = 1 << 24
"""Elements of all samples together beyond which they are not copied."""
_CONSTANTS = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_TENSORS = (Tensor, torch.nn.Parameter)


@dataclass(frozen=True, slots=True)
class Occasion:
    """When a model was called, from where, and what it returned."""

    step: int
    site: Site | None
    outputs: tuple[TensorMeta, ...]


@dataclass(frozen=True)
class CapturedCall:
    """What a model was called with: the first samples of it, and one more to put in place of one of them."""

    leaves: tuple[Any, ...]
    """The tensors among them, and constants."""
    structure: Any
    """How `tree_unflatten` makes positional and named arguments of the leaves."""
    batch: int
    """How many samples there were."""
    rows: int
    """How many of them are asked; one more is kept where there was one."""

    @classmethod
    def of(cls, args: Sequence[Any], kwargs: dict[str, Any]) -> "CapturedCall":
        """Copy them; a `CannotCopyError` says what they hold that can't be."""
        leaves, structure = tree_flatten((tuple(args), dict(kwargs)))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()]
        for leaf in leaves:
            _refuse(leaf)
        batch = tensors[0].size(0) if tensors else 0
        kept = [_part(leaf, batch, min(MOST_ROWS + 1, batch)) for leaf in leaves]
        return cls(tuple(kept), structure, batch, _rows(batch, ()))

    def unlike(self, sizes: Sequence[int]) -> "CapturedCall":
        """The same with as many samples asked as few of these sizes, met within the model, are a multiple of."""
        return replace(self, rows=_rows(self.batch, sizes))

    @property
    def _kept(self) -> int:
        return min(MOST_ROWS + 1, self.batch)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those with dims."""
        return tuple(leaf for leaf in self.leaves if isinstance(leaf, Tensor) and leaf.dim())

    @property
    def has_batch_first(self) -> bool:
        """Whether the first dim of each tensor is that of the samples."""
        return self.batch >= _LEAST_ROWS and all(tensor.size(0) == self._kept for tensor in self.tensors)

    def asked(self, replaced: int | None = None) -> tuple[Any, Any]:
        """Positional and named arguments of fresh tensors, with one of the samples replaced by another."""
        rows = list(range(self.rows))
        if replaced is not None:
            rows[replaced] = self.rows if self.batch > self.rows else (self.rows - 1 - replaced)
        original = list(range(self.rows))
        changes = {index for index, leaf in enumerate(self.leaves) if self._is_replaceable(leaf)}
        parts = [self._rows_of(leaf, rows if index in changes else original) for index, leaf in enumerate(self.leaves)]
        args, kwargs = tree_unflatten(parts, self.structure)
        return args, kwargs

    def with_leaf(self, place: int, tensor: Tensor) -> tuple[Any, Any]:
        """Likewise, with one of the leaves replaced."""
        parts = [self._rows_of(leaf, list(range(self.rows))) for leaf in self.leaves]
        parts[place] = tensor.clone()
        args, kwargs = tree_unflatten(parts, self.structure)
        return args, kwargs

    def rows_of_leaf(self, place: int) -> Tensor:
        """The samples of one leaf."""
        rows: Tensor = self._rows_of(self.leaves[place], list(range(self.rows)))
        return rows

    def _rows_of(self, leaf: Any, rows: Sequence[int]) -> Any:  # noqa: ANN401 - a leaf is whatever was given
        if not isinstance(leaf, Tensor):
            return leaf
        if not leaf.dim() or not self._is_sampled(leaf):
            return leaf.clone()
        return torch.stack([leaf[row] for row in rows])

    def _is_sampled(self, leaf: Tensor) -> bool:
        return bool(self.batch) and leaf.size(0) == self._kept

    def _is_replaceable(self, leaf: object) -> bool:
        """Masks stay, and lengths: what they say of a sample would have to fit the other."""
        if not isinstance(leaf, Tensor) or not leaf.dim() or leaf.dtype is torch.bool:
            return False
        is_list = leaf.dim() == 1 and not leaf.is_floating_point()
        return not is_list or all(each.dim() == 1 for each in self.tensors)


def _rows(batch: int, sizes: Sequence[int]) -> int:
    """How many samples to ask: such that few sizes within the model are a multiple of it."""
    if batch <= MOST_ROWS:
        return batch
    others = [size for size in sizes if size not in (1, batch)]
    return min(_CHOICES, key=lambda rows: sum(size % rows == 0 for size in others))


def _refuse(leaf: object) -> None:
    if isinstance(leaf, Tensor):
        is_plain = type(leaf) in _TENSORS and leaf.layout is torch.strided and not leaf.is_quantized
        if not is_plain or leaf.is_nested or torch._C._functorch.is_functorch_wrapped_tensor(leaf):  # noqa: SLF001 - the only way to tell
            words = f"it was called with a {type(leaf).__name__} with layout {leaf.layout}"
            raise CannotCopyError(words)
    elif type(leaf) not in _CONSTANTS:
        words = f"it was called with a {type(leaf).__name__}"
        raise CannotCopyError(words)


def _part(leaf: Any, batch: int, rows: int) -> Any:  # noqa: ANN401 - as above
    if not isinstance(leaf, Tensor):
        return leaf
    part = leaf.detach()
    if part.dim() and part.size(0) == batch:
        part = part[:rows]
    if part.numel() > _LARGE:
        words = f"a sample of {list(leaf.shape)} is too large"
        raise CannotCopyError(words)
    return part.clone()
