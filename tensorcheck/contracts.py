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
    """Counted from the end, as negative dims are; 1 of layers whose channels follow the batch, however many dims do."""


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
    least: int = 0
    """How many dims it takes at least, where it takes any number above that."""
    dims: tuple[str, ...] = ()
    """Its settings that name a dim of the input."""
    is_sequence: bool = False
    """Whether `batch_first` tells the order of its first two dims."""

    def wrong_size(self, layer: ModuleMeta, given: TensorMeta) -> Size | None:
        """The first size that differs from what the layer was built for."""
        return next((size for size in self.sizes if _differs(size, layer, given)), None)

    def is_wrong_rank(self, given: TensorMeta) -> bool:
        """Whether the input has too few or too many dims."""
        return bool(self.ranks) and len(given.shape) not in self.ranks

    def expectation(self, layer: ModuleMeta, dtype: str) -> str:
        """The input as it should be: `float32[*, 784]`."""
        return f"{dtype}[{', '.join([*self.leading, *self._fixed(layer)])}]"

    def forms(self, layer: ModuleMeta, dtype: str) -> str:
        """The input as it should be with each number of dims: `float32[batch, 3, h, w] or float32[3, h, w]`."""
        fixed = self._fixed(layer)
        leading = _SEQUENCE[bool(layer.settings.get("batch_first"))] if self.is_sequence else ("batch",)
        dims = [[*leading, *fixed][-rank:] for rank in sorted(self.ranks, reverse=True)]
        if self.is_sequence:
            dims[1:] = [["seq", *fixed]]
        return " or ".join(f"{dtype}[{', '.join(each)}]" for each in dims) or self.expectation(layer, dtype)

    def least_rank(self, layer: ModuleMeta) -> int:
        """How many dims it takes at least: as many as its settings name."""
        named = [len(value) for size in self.sizes if isinstance(value := layer.settings.get(size.setting), tuple)]
        dims = [layer.settings.get(name) for name in self.dims]
        reach = [dim + 1 if dim >= 0 else -dim for dim in dims if isinstance(dim, int)]
        return max([self.least, *named, *reach])

    def _fixed(self, layer: ModuleMeta) -> list[str]:
        """The sizes that settings fix, and what follows them."""
        sizes = (layer.settings.get(size.setting) for size in self.sizes)
        words = [str(each) for size in sizes for each in (size if isinstance(size, tuple) else (size,))]
        return [*words, *self.trailing]

    @property
    def leading(self) -> tuple[str, ...]:
        """What stands for the dims before the fixed ones."""
        return ("batch",) if self.trailing else ("*",)


_SEQUENCE = {False: ("seq", "batch"), True: ("batch", "seq")}


def _differs(size: Size, layer: ModuleMeta, given: TensorMeta) -> bool:
    wanted = layer.settings.get(size.setting)
    if isinstance(wanted, tuple):
        return len(given.shape) >= len(wanted) and given.shape[-len(wanted) :] != wanted
    is_there = -len(given.shape) <= size.dim < len(given.shape)
    return isinstance(wanted, int) and not isinstance(wanted, bool) and is_there and given.shape[size.dim] != wanted


def _channels(setting: str, *trailing: str) -> LayerContract:
    spatial = len(trailing)
    return LayerContract((Size(setting, -spatial - 1),), ranks=(spatial + 1, spatial + 2), trailing=trailing)


def _batched_channels(setting: str, *trailing: str) -> LayerContract:
    return LayerContract((Size(setting, -len(trailing) - 1),), ranks=(len(trailing) + 2,), trailing=trailing)


def _any_channels(*trailing: str) -> LayerContract:
    return LayerContract((), ranks=(len(trailing) + 1, len(trailing) + 2), trailing=("channels", *trailing))


def _sequence(setting: str) -> LayerContract:
    return LayerContract((Size(setting, -1),), ranks=(2, 3), is_sequence=True)


_SPATIAL = {1: ("length",), 2: ("h", "w"), 3: ("d", "h", "w")}
_WITHOUT_WEIGHTS = (
    *("MaxPool", "AvgPool", "LPPool", "AdaptiveAvgPool", "AdaptiveMaxPool"),
    *("ReflectionPad", "ReplicationPad", "CircularPad"),
)


_LAYERS: Mapping[str, LayerContract] = {
    **{f"{kind}{n}d": _any_channels(*_SPATIAL[n]) for kind in _WITHOUT_WEIGHTS for n in _SPATIAL},
    **{f"Conv{n}d": _channels("in_channels", *_SPATIAL[n]) for n in _SPATIAL},
    **{f"ConvTranspose{n}d": _channels("in_channels", *_SPATIAL[n]) for n in _SPATIAL},
    **{f"InstanceNorm{n}d": _channels("num_features", *_SPATIAL[n]) for n in _SPATIAL},
    "Linear": LayerContract((Size("in_features", -1),), least=1),
    "BatchNorm1d": LayerContract((Size("num_features", 1),), ranks=(2, 3), trailing=("length",)),
    "BatchNorm2d": _batched_channels("num_features", "h", "w"),
    "BatchNorm3d": _batched_channels("num_features", "d", "h", "w"),
    "GroupNorm": LayerContract((Size("num_channels", 1),), trailing=("*",), least=2),
    "LocalResponseNorm": LayerContract((), trailing=("channels", "*", "length"), least=3),
    "LayerNorm": LayerContract((Size("normalized_shape", -1),)),
    "RMSNorm": LayerContract((Size("normalized_shape", -1),)),
    "PReLU": LayerContract((Size("num_parameters", 1),), trailing=("*",)),
    "RNN": _sequence("input_size"),
    "LSTM": _sequence("input_size"),
    "GRU": _sequence("input_size"),
    "RNNCell": LayerContract((Size("input_size", -1),), ranks=(1, 2)),
    "LSTMCell": LayerContract((Size("input_size", -1),), ranks=(1, 2)),
    "GRUCell": LayerContract((Size("input_size", -1),), ranks=(1, 2)),
    "MultiheadAttention": _sequence("embed_dim"),
    "Transformer": _sequence("d_model"),
    "Bilinear": LayerContract((Size("in1_features", -1),), least=1),
    **{kind: LayerContract((), dims=("dim",)) for kind in ("Softmax", "LogSoftmax", "Softmin", "GLU", "Unflatten")},
    "Flatten": LayerContract((), dims=("start_dim",)),
    "Dropout1d": _any_channels("length"),
    "FractionalMaxPool2d": _any_channels("h", "w"),
    "Softmax2d": _any_channels("h", "w"),
    "Unfold": _any_channels("h", "w"),
    "Fold": _any_channels("blocks"),
    "PixelShuffle": LayerContract((), trailing=("channels", "h", "w"), least=3),
    "PixelUnshuffle": LayerContract((), trailing=("channels", "h", "w"), least=3),
    "Embedding": LayerContract((), dtype="integer"),
    "EmbeddingBag": LayerContract((), ranks=(1, 2), dtype="integer", trailing=("bag",)),
}


def contract_of(layer: ModuleMeta | None) -> LayerContract | None:
    """The contract of one of PyTorch's layers, or of a user's that computes as one; None for any other module.

    >>> contract_of(ModuleMeta("mine", "Linear")) is None
    True
    """
    return _LAYERS.get(layer.layer) if layer is not None else None


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
