"""Copies of a model and of what it was given, which share its weights without being able to change them.

Weights are shared, for they may be large, and the guard refuses what would change them. Buffers and inputs are copied:
batch normalisation changes its statistics in a way that no operator's schema tells. On the meta device nothing of the
data is read.
"""

import copy
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.observe.describe import leaves
from tensorcheck.observe.undisturbed import TimeIsUpError

_SAMPLES = 2
"""Of a batch; a copy on the meta device has it whole."""
_SMALL = 4096
"""Elements up to which all of it is copied: it may be one sample that lacks its batch dim."""
_LARGE = 1 << 20
"""Elements from which on a buffer is shared as weights are."""
_SCRIPTED = "the model was compiled by TorchScript"
_PLAIN = (Tensor, nn.Parameter)
_INTERNAL = frozenset(vars(nn.Module()))
"""What every module has; what is left was put there by its class."""
_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


_HOOKS_OF_OPTIMIZERS = frozenset(
    {
        "_optimizer_step_pre_hooks",
        "_optimizer_step_post_hooks",
        "_optimizer_state_dict_pre_hooks",
        "_optimizer_state_dict_post_hooks",
        "_optimizer_load_state_dict_pre_hooks",
        "_optimizer_load_state_dict_post_hooks",
    }
)


class Place(Enum):
    """Where a copy lives."""

    OWN = "own"
    """On the devices of what it was copied from, with two samples."""
    META = "meta"
    """On the meta device, with shapes and dtypes alone."""


class CannotCopyError(Exception):
    """What could not be copied, in words."""


class _Memo(dict[int, Any]):
    """What `deepcopy` has copied so far; it asks for each object, and is stopped here when the time is up."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline

    def get(self, key: int, default: Any = None) -> Any:  # noqa: ANN401 - the signature of dict
        if time.monotonic() > self._deadline:
            raise TimeIsUpError
        return super().get(key, default)


class Copier:
    """Makes the copies of one trial; what the user's objects share, the copies share."""

    def __init__(self, place: Place, samples: "Samples | None", deadline: float) -> None:
        self._place = place
        self._samples = samples if place is Place.OWN else None
        self._memo = _Memo(deadline)
        self._kept: list[object] = []
        """Keeps what the memo knows by its id alive, so that no other object gets that id."""

    def model(self, model: nn.Module) -> nn.Module:
        """A model or a loss of the user's, without the hooks on it."""
        for module in model.modules():
            self._prepare(module)
        twin: nn.Module = self._deep(model)
        return twin

    def optimizer(self, optimizer: Optimizer) -> Optimizer:
        """An optimizer of the copied parameters, without the hooks on it."""
        for state in optimizer.state.values():
            for value in state.values() if isinstance(state, dict) else ():
                if isinstance(value, Tensor) and value.dim():  # the number of steps is read as a value
                    self._note(value, value)
        for name, value in vars(optimizer).items():
            if name in _HOOKS_OF_OPTIMIZERS:
                self._note(value, OrderedDict())
        twin: Optimizer = self._deep(optimizer)
        return twin

    def inputs(self, value: Any) -> Any:  # noqa: ANN401 - whatever a model is called with
        """What it was called with, two samples of it."""
        for _, tensor in leaves(value, ""):
            self._note(tensor, tensor if self._samples is None else self._samples.taken_from(tensor))
        return self._deep(value)

    def is_sampled_whole(self, tensor: Tensor) -> bool:
        """Whether a tensor is as long as the batch, so that its samples are those of the batch."""
        return self._samples is None or not tensor.dim() or tensor.size(0) == self._samples.batch

    def _prepare(self, module: nn.Module) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            raise CannotCopyError(_SCRIPTED)
        state = vars(module)
        for name in _HOOKS:
            if state.get(name):
                self._note(state[name], OrderedDict())
        own = [value for name, value in state.items() if name not in _INTERNAL]
        for value in (*state["_parameters"].values(), *state["_buffers"].values(), *own):
            for _, tensor in leaves(value, ""):
                self._note(tensor, tensor)

    def _note(self, original: object, part: object) -> None:
        """Let the copy of an object be that of a part of it; of anything but a tensor, the part itself."""
        if id(original) not in self._memo:
            is_tensor = isinstance(original, Tensor) and isinstance(part, Tensor)
            self._memo[id(original)] = self._twin(original, part) if is_tensor else part  # type: ignore[arg-type]
            self._kept.append(original)

    def _deep(self, value: Any) -> Any:  # noqa: ANN401 - any object
        try:
            return copy.deepcopy(value, self._memo)
        except Exception as error:  # noqa: BLE001 - whatever the user's own classes raise
            words = f"the model can't be copied: {type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
            raise CannotCopyError(words) from None

    def _twin(self, original: Tensor, part: Tensor) -> Tensor:
        if type(original) not in _PLAIN or original.layout is not torch.strided or original.is_quantized:
            words = f"it holds a {type(original).__name__} with layout {original.layout}"
            raise CannotCopyError(words)
        data = self._data(part.detach(), is_shared=isinstance(original, nn.Parameter))
        if isinstance(original, nn.Parameter):
            return nn.Parameter(data, requires_grad=original.requires_grad)
        if not original.requires_grad:
            return data
        data.requires_grad_()
        with torch.enable_grad():
            return data if original.is_leaf else data.view_as(data).clone()

    def _data(self, tensor: Tensor, *, is_shared: bool) -> Tensor:
        if self._place is Place.META:
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        return tensor if is_shared or tensor.numel() > _LARGE else tensor.clone()


@dataclass(frozen=True, slots=True)
class Samples:
    """Which samples of a batch are copied: those with the extreme indices, for they are what an embedding refuses."""

    batch: int
    """How many there are."""
    rows: tuple[int, ...]

    @classmethod
    def of(cls, given: object) -> "Samples | None":
        """Two samples of what a model was given; None of what holds no more, or no tensor."""
        tensors = [tensor for _, tensor in leaves(given, "") if tensor.dim()]
        if not tensors or tensors[0].size(0) <= _SAMPLES or sum(tensor.numel() for tensor in tensors) <= _SMALL:
            return None
        batch = tensors[0].size(0)
        indices = [tensor for tensor in tensors if _holds_indices(tensor) and tensor.size(0) == batch]
        extremes = (row for tensor in indices for row in _extreme_rows(tensor))
        return cls(batch, tuple(dict.fromkeys([*extremes, *range(_SAMPLES)]))[:_SAMPLES])

    def taken_from(self, tensor: Tensor) -> Tensor:
        """The samples of one tensor; the tensor itself where it is not as long as the batch."""
        if isinstance(tensor, nn.Parameter) or not tensor.dim() or tensor.size(0) != self.batch:
            return tensor
        first, *others = self.rows
        step = others[0] - first if others else 1
        part = tensor.detach()
        return part[first::step][:_SAMPLES] if step > 0 else part[others[0] :: -step][:_SAMPLES]


def _holds_indices(tensor: Tensor) -> bool:
    is_whole = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype is torch.bool)
    return is_whole and tensor.device.type == "cpu" and tensor.layout is torch.strided and bool(tensor.numel())


def _extreme_rows(tensor: Tensor) -> Iterator[int]:
    rows = tensor.detach().reshape(tensor.size(0), -1)
    yield int(rows.amax(1).argmax())
    yield int(rows.amin(1).argmin())
