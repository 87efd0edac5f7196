"""Which input of a layer has a size that the layer's settings don't allow, or has it in another dim than it should.

`contracts.py` says what a layer's first input must be; here are its other inputs, the sizes that a setting must divide,
and what tells that the size is right and only its place is wrong.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.contracts import LayerContract, Size, contract_of
from tensorcheck.modules import ModuleMeta

Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Misfit:
    """One input of a layer whose size in one dim is not what it must be."""

    operand: Operand
    dim: int
    """Counted from the front."""
    wanted: int
    setting: str
    """What the layer was built with that makes it so."""
    divides: bool = False
    """Whether `wanted` only has to divide the size."""

    @property
    def came(self) -> int:
        """The size that it has."""
        return self.operand.meta.shape[self.dim]


def misfit_of(call: FailedCall) -> Misfit | None:
    """The first input of a layer whose size is not what its settings say."""
    layer = call.module
    if layer is None or not layer.layer:
        return None
    return next((misfit for operand in call.operands for misfit in _misfits(layer, operand, call)), None)


def _misfits(layer: ModuleMeta, operand: Operand, call: FailedCall) -> Iterator[Misfit]:
    shape = operand.meta.shape
    sizes = _OTHERS.get(layer.layer, {}).get(operand.name, ())
    contract = contract_of(layer)
    if operand is call.first and contract is not None and not contract.is_wrong_rank(operand.meta):
        sizes = (*contract.sizes, *sizes)
    for size in sizes:
        for dim, wanted in _wanted(layer, size, shape):
            if shape[dim] != wanted and _is_binding(layer, size):
                yield Misfit(operand, dim, wanted, size.setting)
    if operand is call.first:
        yield from _undivided(layer, operand)


def _wanted(layer: ModuleMeta, size: Size, shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The dims that a setting fixes, each with its size."""
    value = layer.settings.get(size.setting)
    values = value if isinstance(value, tuple) else (value,)
    first = len(shape) - len(values) if size.dim < 0 and isinstance(value, tuple) else size.dim % max(len(shape), 1)
    is_there = -len(shape) <= size.dim < len(shape) and first >= 0
    for dim, wanted in enumerate(values, start=first):
        if is_there and isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0:
            yield dim, wanted


def _is_binding(layer: ModuleMeta, size: Size) -> bool:
    """Whether the layer checks the setting: one parameter of PReLU serves all channels."""
    value = layer.settings.get(size.setting)
    if layer.layer in ("GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"):
        return bool(layer.settings.get("affine")) or bool(layer.settings.get("track_running_stats"))
    return not (layer.layer == "PReLU" and value == 1)


def _undivided(layer: ModuleMeta, operand: Operand) -> Iterator[Misfit]:
    shape = operand.meta.shape
    for rule in _DIVISORS.get(layer.layer, ()):
        dim, wanted = rule.dim(layer.settings), rule.wanted(layer.settings)
        if (
            -len(shape) <= dim < len(shape)
            and wanted > 0
            and (shape[dim] % wanted if rule.divides else shape[dim] != wanted)
        ):
            yield Misfit(operand, dim % len(shape), wanted, rule.setting, divides=rule.divides)


def order_of(misfit: Misfit, layer: ModuleMeta) -> tuple[int, ...] | None:
    """The order of the dims that puts the size where the layer looks for it; None where it is not there by accident.

    A size that two dims have, the batch's, and one that a convolution's output has in a later dim say nothing.
    """
    shape, contract = misfit.operand.meta.shape, contract_of(layer)
    if misfit.divides or contract is None or not contract.sizes or misfit.setting != contract.sizes[0].setting:
        return None
    batched = 0 if contract.trailing and contract.ranks and len(shape) == min(contract.ranks) else 1
    places = [dim for dim in range(batched, len(shape)) if dim != misfit.dim and shape[dim] == misfit.wanted]
    if len(places) != 1 or len(shape) + 1 - batched < _IMAGE or is_unflattened(misfit) or is_of_images(misfit):
        return None
    order = [dim for dim in range(len(shape)) if dim != places[0]]
    return (*order[: misfit.dim], places[0], *order[misfit.dim :])


_IMAGE = 3
_FROM_IMAGES = ("Convolution", "MaxPool", "AvgPool", "AdaptiveAvgPool", "Upsample", "NativeBatchNorm", "Cat")


def is_unflattened(misfit: Misfit) -> bool:
    """Whether the layer wants the features of all dims in one."""
    return math.prod(misfit.operand.meta.shape[1:]) == misfit.wanted


def is_of_images(misfit: Misfit) -> bool:
    """Whether what made it gives channels before height and width."""
    return len(misfit.operand.meta.shape) > _IMAGE and misfit.operand.grad_fn.startswith(_FROM_IMAGES)


def lacks_channels(misfit: Misfit, contract: LayerContract | None) -> bool:
    """Whether it is likelier that a batch of grey images has no dim for its one channel than that it is one sample."""
    given = misfit.operand
    is_least = (
        contract is not None and bool(contract.trailing) and len(given.meta.shape) == min(contract.ranks, default=0)
    )
    return is_least and misfit.wanted == 1 and misfit.setting == "in_channels" and not given.grad_fn


_HIDDEN = (Size("hidden_size", -1),)
_OTHERS: Mapping[str, Mapping[str, tuple[Size, ...]]] = {
    "MultiheadAttention": {"key": (Size("kdim", -1),), "value": (Size("vdim", -1),)},
    "Transformer": {"tgt": (Size("d_model", -1),)},
    "Bilinear": {"input2": (Size("in2_features", -1),)},
    "LSTM": {"hx[1]": _HIDDEN},
    **{kind: {"hx": _HIDDEN} for kind in ("RNN", "GRU", "RNNCell", "GRUCell")},
    "LSTMCell": {"hx[0]": _HIDDEN, "hx[1]": _HIDDEN},
}


@dataclass(frozen=True, slots=True)
class _Divisor:
    setting: str
    dim: Callable[[Settings], int]
    wanted: Callable[[Settings], int]
    divides: bool = True


def _number(settings: Settings, name: str, default: int = 1) -> int:
    value = settings.get(name)
    return value if isinstance(value, int) else default


def _pair(settings: Settings, name: str) -> tuple[int, ...]:
    value = settings.get(name)
    return tuple(value) if isinstance(value, tuple) else (_number(settings, name),) * 2


def _blocks(settings: Settings) -> int:
    """How many blocks fold into the image, as the documentation of `torch.nn.Fold` has it."""
    names = ("output_size", "padding", "dilation", "kernel_size", "stride")
    sides = zip(*(_pair(settings, name) for name in names), strict=False)
    return math.prod(
        (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for size, padding, dilation, kernel, stride in sides
    )


_DIVISORS: Mapping[str, tuple[_Divisor, ...]] = {
    "GroupNorm": (_Divisor("num_groups", lambda _: 1, lambda settings: _number(settings, "num_groups")),),
    "GLU": (_Divisor("dim", lambda settings: _number(settings, "dim", -1), lambda _: 2),),
    "ChannelShuffle": (_Divisor("groups", lambda _: 1, lambda settings: _number(settings, "groups")),),
    "PixelShuffle": (
        _Divisor("upscale_factor", lambda _: -3, lambda settings: _number(settings, "upscale_factor") ** 2),
    ),
    "PixelUnshuffle": (
        _Divisor("downscale_factor", lambda _: -2, lambda settings: _number(settings, "downscale_factor")),
        _Divisor("downscale_factor", lambda _: -1, lambda settings: _number(settings, "downscale_factor")),
    ),
    "Fold": (
        _Divisor("kernel_size", lambda _: -2, lambda settings: math.prod(_pair(settings, "kernel_size"))),
        _Divisor("output_size", lambda _: -1, _blocks, divides=False),
    ),
}
