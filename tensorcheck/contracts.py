"""What each `torch.nn` layer and each loss accepts, as a table.

A layer's sizes are named by the setting that they come from, so that an expectation can say where it was set. The facts
are from the "Shape" sections of the documentation of `torch.nn` 2.13, and were compared with what it really refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tensorcheck.modules import ModuleMeta
from tensorcheck.tensors import TensorMeta

InputDtype = Literal["weight", "integer"]


@dataclass(frozen=True, slots=True)
class Size:
    """One dim of a layer's input whose size a setting fixes."""

    setting: str
    dim: int
    """Counted from the end, as negative dims are."""


@dataclass(frozen=True, slots=True)
class LayerContract:
    """What a layer's first input must be.

    >>> head = ModuleMeta("head", "Linear", settings={"in_features": 784}, is_builtin=True)
    >>> contract = contract_of(head)
    >>> contract.expectation(head, "float32"), contract.wrong_size(head, TensorMeta((32, 3136), "float32", "cpu"))
    ('float32[*, 784]', Size(setting='in_features', dim=-1))
    """

    sizes: tuple[Size, ...]
    ranks: tuple[int, ...] = ()
    """The ranks that it takes; empty where any will do."""
    dtype: InputDtype = "weight"
    trailing: tuple[str, ...] = ()
    """What its users call the dims after the channels: `h, w`."""

    def wrong_size(self, layer: ModuleMeta, given: TensorMeta) -> Size | None:
        """The first size that differs from what the layer was built for."""
        return next((size for size in self.sizes if _differs(size, layer, given)), None)

    def is_wrong_rank(self, given: TensorMeta) -> bool:
        """Whether the input has too few or too many dims."""
        return bool(self.ranks) and len(given.shape) not in self.ranks

    def expectation(self, layer: ModuleMeta, dtype: str) -> str:
        """The input as it should be: `float32[*, 784]`."""
        sizes = [str(layer.settings.get(size.setting)) for size in self.sizes]
        return f"{dtype}[{', '.join([*self.leading, *sizes, *self.trailing])}]"

    @property
    def leading(self) -> tuple[str, ...]:
        """What stands for the dims before the fixed ones."""
        return ("batch",) if self.trailing else ("*",)


def _differs(size: Size, layer: ModuleMeta, given: TensorMeta) -> bool:
    wanted = layer.settings.get(size.setting)
    is_there = -len(given.shape) <= size.dim
    return isinstance(wanted, int) and not isinstance(wanted, bool) and is_there and given.shape[size.dim] != wanted


def _channels(setting: str, *trailing: str) -> LayerContract:
    spatial = len(trailing)
    return LayerContract((Size(setting, -spatial - 1),), ranks=(spatial + 1, spatial + 2), trailing=trailing)


def _batched_channels(setting: str, *trailing: str) -> LayerContract:
    return LayerContract((Size(setting, -len(trailing) - 1),), ranks=(len(trailing) + 2,), trailing=trailing)


_LAYERS: Mapping[str, LayerContract] = {
    "Linear": LayerContract((Size("in_features", -1),)),
    "Conv1d": _channels("in_channels", "length"),
    "Conv2d": _channels("in_channels", "h", "w"),
    "Conv3d": _channels("in_channels", "d", "h", "w"),
    "ConvTranspose1d": _channels("in_channels", "length"),
    "ConvTranspose2d": _channels("in_channels", "h", "w"),
    "ConvTranspose3d": _channels("in_channels", "d", "h", "w"),
    "BatchNorm2d": _batched_channels("num_features", "h", "w"),
    "BatchNorm3d": _batched_channels("num_features", "d", "h", "w"),
    "RNN": LayerContract((Size("input_size", -1),), ranks=(2, 3)),
    "LSTM": LayerContract((Size("input_size", -1),), ranks=(2, 3)),
    "GRU": LayerContract((Size("input_size", -1),), ranks=(2, 3)),
    "RNNCell": LayerContract((Size("input_size", -1),), ranks=(1, 2)),
    "LSTMCell": LayerContract((Size("input_size", -1),), ranks=(1, 2)),
    "GRUCell": LayerContract((Size("input_size", -1),), ranks=(1, 2)),
    "MultiheadAttention": LayerContract((Size("embed_dim", -1),), ranks=(2, 3)),
    "LayerNorm": LayerContract(()),
    "Embedding": LayerContract((), dtype="integer"),
    "EmbeddingBag": LayerContract((), ranks=(1, 2), dtype="integer"),
}


def contract_of(layer: ModuleMeta | None) -> LayerContract | None:
    """The contract of one of PyTorch's own layers; None for any other module.

    >>> contract_of(ModuleMeta("mine", "Linear")) is None
    True
    """
    return _LAYERS.get(layer.kind) if layer is not None and layer.is_builtin else None


TargetForm = Literal["class indices", "like the input"]

_TARGETS: Mapping[str, TargetForm] = {
    "cross_entropy": "class indices",
    "nll_loss": "class indices",
    "multi_margin_loss": "class indices",
    "binary_cross_entropy": "like the input",
    "binary_cross_entropy_with_logits": "like the input",
    "mse_loss": "like the input",
    "l1_loss": "like the input",
    "smooth_l1_loss": "like the input",
    "huber_loss": "like the input",
    "kl_div": "like the input",
    "poisson_nll_loss": "like the input",
    "gaussian_nll_loss": "like the input",
    "soft_margin_loss": "like the input",
}


def target_form(loss: str) -> TargetForm | None:
    """What a loss of `torch.nn.functional` wants its target to be; None where it is neither.

    >>> target_form("cross_entropy"), target_form("mse_loss")
    ('class indices', 'like the input')
    """
    return _TARGETS.get(loss)
