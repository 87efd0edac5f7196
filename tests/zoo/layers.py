"""Every layer of `torch.nn` in a tiny network that learns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

_FEATURES, _ROWS, _EPOCHS = 6, 48, 3
_WORDS = 12


@dataclass(frozen=True, slots=True)
class Home:
    """Where a layer lives: how it is built, and what it is given."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    """Of one sample, as the layer gets it."""
    is_embedding: bool = False
    """Whether it gets word numbers, and not what another layer returned."""


class Network(nn.Module):
    """A layer between two linear ones, or the first where it takes word numbers."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self.shape = home.shape
        self.before = None if home.is_embedding else nn.Linear(_FEATURES, torch.Size(home.shape).numel())
        self.layer = home.build()
        self.after = nn.LazyLinear(1)

    def forward(self, rows: Tensor) -> Tensor:
        """`[batch, features]` numbers, or `[batch, *shape]` word numbers, to `[batch]` numbers."""
        given = rows if self.before is None else self.before(rows).unflatten(1, self.shape)
        returned: Tensor = self.after(self.layer(given).flatten(1))
        return returned.squeeze(1)


def train(home: Home) -> list[float]:
    """Train a network around the layer, with a validation after each epoch; the mean loss of each epoch."""
    torch.manual_seed(0)
    rows, targets = _words(home.shape) if home.is_embedding else _numbers()
    model = Network(home)
    with torch.no_grad():
        model(rows[:8])  # lazy layers learn their sizes
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    loader = DataLoader(TensorDataset(rows[:40], targets[:40]), batch_size=8, shuffle=True)
    return [_epoch(model, optimizer, loader, rows[40:], targets[40:]) for _ in range(_EPOCHS)]


def _epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader[Any], rows: Tensor, targets: Tensor
) -> float:
    model.train()
    losses = []
    for batch, wanted in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        nn.functional.mse_loss(model(rows), targets)
    return sum(losses) / len(losses)


def _numbers() -> tuple[Tensor, Tensor]:
    rows = torch.randn(_ROWS, _FEATURES)
    return rows, 3 + rows[:, 0] - 0.5 * rows[:, 1]


def _words(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    rows = torch.randint(_WORDS, (_ROWS, *shape))
    return rows, 3 + rows.float().mean(1) / _WORDS


class _Called(nn.Module):
    """A layer that is not called with one tensor, or does not return one."""

    def __init__(self, layer: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = layer
        self.call = call

    def forward(self, given: Tensor) -> Tensor:
        return self.call(self.layer, given)


class _Unpooled(nn.Module):
    """A pooling and its inverse."""

    def __init__(self, pool: nn.Module, unpool: nn.Module) -> None:
        super().__init__()
        self.pool, self.unpool = pool, unpool

    def forward(self, given: Tensor) -> Tensor:
        pooled, indices = self.pool(given)
        unpooled: Tensor = self.unpool(pooled, indices)
        return unpooled


class _Blocks(nn.Module):
    """Parts in one of torch's containers."""

    def __init__(self, parts: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.parts = parts
        self.call = call

    def forward(self, given: Tensor) -> Tensor:
        return self.call(self.parts, given)


def _called(build: Callable[[], nn.Module], call: Callable[[Any, Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: _Called(build(), call)


def _of(names: str, shape: tuple[int, ...], *args: Any, **kwargs: Any) -> dict[str, Home]:
    """Layers that are all built with these arguments."""

    def home(kind: Callable[..., nn.Module]) -> Home:
        return Home(lambda: kind(*args, **kwargs), shape)

    return {name: home(getattr(nn, name)) for name in names.split()}


def _first(layer: Callable[[Tensor], Sequence[Tensor]], given: Tensor) -> Tensor:
    return layer(given)[0]


def _with_itself(layer: Callable[[Tensor, Tensor], Tensor], given: Tensor) -> Tensor:
    return layer(given, given)


def _halves(layer: Callable[[Tensor, Tensor], Tensor], given: Tensor) -> Tensor:
    return layer(*given.chunk(2, 1))


def _in_time(cell: Callable[..., Any], given: Tensor) -> Tensor:
    state = None
    for moment in given.unbind(1):
        state = cell(moment) if state is None else cell(moment, state)
    return state[0] if isinstance(state, tuple) else torch.as_tensor(state)


def _scaled(weights: Any, given: Tensor) -> Tensor:
    first, second = weights.values() if isinstance(weights, nn.ParameterDict) else weights
    return torch.addcmul(second, given, first)


def _one_after_another(layers: Any, given: Tensor) -> Tensor:
    for layer in layers.values() if isinstance(layers, nn.ModuleDict) else layers:
        given = layer(given)
    return given


_VECTOR, _LINE, _IMAGE, _VOLUME, _SENTENCE = (8,), (4, 8), (4, 6, 6), (4, 4, 4, 4), (5, 8)

HOMES: dict[str, Home] = {
    **_of(
        "CELU ELU GELU Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU RReLU ReLU ReLU6 SELU SiLU "
        "Sigmoid Softplus Softsign Tanh Tanhshrink Hardshrink Softshrink Identity Dropout AlphaDropout GLU Flatten",
        _VECTOR,
    ),
    **_of("Softmax LogSoftmax Softmin", _VECTOR, dim=1),
    **_of("Linear", _VECTOR, 8, 5),
    **_of("LazyLinear", _VECTOR, 5),
    **_of("Threshold", _VECTOR, 0.1, 0.0),
    **_of("LayerNorm RMSNorm BatchNorm1d", _VECTOR, 8),
    **_of("LazyBatchNorm1d", _VECTOR),
    **_of("Unflatten", _VECTOR, 1, (2, 4)),
    **_of("Conv1d ConvTranspose1d", _LINE, 4, 3, 3),
    **_of("LazyConv1d LazyConvTranspose1d", _LINE, 3, 3),
    **_of("MaxPool1d AvgPool1d AdaptiveAvgPool1d AdaptiveMaxPool1d", _LINE, 2),
    **_of("LPPool1d", _LINE, 2, 2),
    **_of("InstanceNorm1d", _LINE, 4, affine=True),
    **_of("LazyInstanceNorm1d", _LINE),
    **_of("Dropout1d", _LINE, 0.1),
    **_of("CircularPad1d ReflectionPad1d ReplicationPad1d ZeroPad1d", _LINE, 1),
    **_of("ConstantPad1d", _LINE, 1, 0.5),
    **_of("Conv2d ConvTranspose2d", _IMAGE, 4, 3, 3),
    **_of("LazyConv2d LazyConvTranspose2d", _IMAGE, 3, 3),
    **_of("MaxPool2d AvgPool2d AdaptiveAvgPool2d AdaptiveMaxPool2d PixelShuffle PixelUnshuffle", _IMAGE, 2),
    **_of("LPPool2d", _IMAGE, 2, 2),
    **_of("FractionalMaxPool2d", _IMAGE, 2, output_ratio=0.5),
    **_of("BatchNorm2d", _IMAGE, 4),
    **_of("InstanceNorm2d", _IMAGE, 4, affine=True),
    **_of("LazyBatchNorm2d LazyInstanceNorm2d Softmax2d", _IMAGE),
    **_of("Dropout2d FeatureAlphaDropout", _IMAGE, 0.1),
    **_of("GroupNorm", _IMAGE, 2, 4),
    **_of("ChannelShuffle", _IMAGE, 2),
    **_of("LocalResponseNorm CrossMapLRN2d", _IMAGE, 2),
    **_of("CircularPad2d ReflectionPad2d ReplicationPad2d ZeroPad2d", _IMAGE, 1),
    **_of("ConstantPad2d", _IMAGE, 1, 0.5),
    **_of("Upsample UpsamplingBilinear2d UpsamplingNearest2d", _IMAGE, scale_factor=2),
    **_of("Unfold", _IMAGE, 3),
    **_of("Fold", (16, 9), (4, 4), 2),
    **_of("Conv3d ConvTranspose3d", _VOLUME, 4, 3, 3),
    **_of("LazyConv3d LazyConvTranspose3d", _VOLUME, 3, 3),
    **_of("MaxPool3d AvgPool3d AdaptiveAvgPool3d AdaptiveMaxPool3d", _VOLUME, 2),
    **_of("LPPool3d", _VOLUME, 2, 2),
    **_of("FractionalMaxPool3d", _VOLUME, 2, output_ratio=0.5),
    **_of("BatchNorm3d", _VOLUME, 4),
    **_of("InstanceNorm3d", _VOLUME, 4, affine=True),
    **_of("LazyBatchNorm3d LazyInstanceNorm3d", _VOLUME),
    **_of("Dropout3d", _VOLUME, 0.1),
    **_of("CircularPad3d ReflectionPad3d ReplicationPad3d ZeroPad3d", _VOLUME, 1),
    **_of("ConstantPad3d", _VOLUME, 1, 0.5),
    **_of("TransformerEncoderLayer", _SENTENCE, 8, 2, 16, batch_first=True),
    "Embedding": Home(lambda: nn.Embedding(_WORDS, 4, padding_idx=0), (5,), is_embedding=True),
    "EmbeddingBag": Home(lambda: nn.EmbeddingBag(_WORDS, 4), (5,), is_embedding=True),
    "RNN": Home(_called(lambda: nn.RNN(8, 6, batch_first=True), _first), _SENTENCE),
    "GRU": Home(_called(lambda: nn.GRU(8, 6, batch_first=True, bidirectional=True), _first), _SENTENCE),
    "LSTM": Home(_called(lambda: nn.LSTM(8, 6, 2, batch_first=True, dropout=0.1), _first), _SENTENCE),
    "RNNCell": Home(_called(lambda: nn.RNNCell(8, 6), _in_time), _SENTENCE),
    "GRUCell": Home(_called(lambda: nn.GRUCell(8, 6), _in_time), _SENTENCE),
    "LSTMCell": Home(_called(lambda: nn.LSTMCell(8, 6), _in_time), _SENTENCE),
    "MultiheadAttention": Home(
        _called(lambda: nn.MultiheadAttention(8, 2, batch_first=True), lambda layer, x: layer(x, x, x)[0]), _SENTENCE
    ),
    "TransformerDecoderLayer": Home(
        _called(lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), _with_itself), _SENTENCE
    ),
    "TransformerEncoder": Home(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), _SENTENCE
    ),
    "TransformerDecoder": Home(
        _called(lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 2), _with_itself),
        _SENTENCE,
    ),
    "Transformer": Home(_called(lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True), _with_itself), _SENTENCE),
    "Bilinear": Home(_called(lambda: nn.Bilinear(4, 4, 5), _halves), _VECTOR),
    "CosineSimilarity": Home(_called(nn.CosineSimilarity, _halves), _LINE),
    "PairwiseDistance": Home(_called(lambda: nn.PairwiseDistance(keepdim=True), _halves), _VECTOR),
    "MaxUnpool1d": Home(lambda: _Unpooled(nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)), _LINE),
    "MaxUnpool2d": Home(lambda: _Unpooled(nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)), _IMAGE),
    "MaxUnpool3d": Home(lambda: _Unpooled(nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2)), _VOLUME),
    "Sequential": Home(lambda: nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4)), _VECTOR),
    "ModuleList": Home(lambda: _Blocks(nn.ModuleList(nn.Linear(8, 8) for _ in range(2)), _one_after_another), _VECTOR),
    "ModuleDict": Home(
        lambda: _Blocks(nn.ModuleDict({"linear": nn.Linear(8, 8), "tanh": nn.Tanh()}), _one_after_another), _VECTOR
    ),
    "ParameterList": Home(lambda: _Blocks(nn.ParameterList([torch.ones(8), torch.zeros(8)]), _scaled), _VECTOR),
    "ParameterDict": Home(
        lambda: _Blocks(nn.ParameterDict({"scale": torch.ones(8), "shift": torch.zeros(8)}), _scaled), _VECTOR
    ),
}

LEFT_OUT = {
    "Module": "the base of all",
    "Container": "an old name of Module, which warns",
    "RNNBase": "the base of RNN, GRU and LSTM",
    "RNNCellBase": "the base of the cells",
    "SyncBatchNorm": "needs an accelerator and a process group",
    "NLLLoss2d": "an old name of NLLLoss, which warns",
    "DataParallel": "needs an accelerator",
}
