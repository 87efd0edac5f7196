"""Which inputs of one layer don't fit each other: hidden states, keys, values, masks, the second of a pair."""

import math
from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.fixes import Fix
from tensorcheck.knowledge.batch_first import batch_first_fix
from tensorcheck.knowledge.clashes import Clash
from tensorcheck.knowledge.reshaping import Shape, refits, reshapings
from tensorcheck.modules import ModuleMeta
from tensorcheck.wording import first_that_fits, title, titled

_SEQUENCES = ("RNN", "LSTM", "GRU")
_CELLS = ("RNNCell", "LSTMCell", "GRUCell")
_BATCHED = 3


def misfit_inputs_of(call: FailedCall) -> Clash | None:
    """The first input of a layer that does not go with the one that it works on."""
    layer, first = call.module, call.first
    if layer is None or first is None or not layer.layer:
        return None
    return next(iter(_clashes(call, layer, first)), None)


def _clashes(call: FailedCall, layer: ModuleMeta, first: Operand) -> Iterator[Clash]:
    for operand in call.operands[1:]:
        if layer.layer in _SEQUENCES:
            yield from _hidden(layer, first, operand)
        elif layer.layer in _CELLS:
            yield from _batches(layer, first, operand, dim=0)
        elif layer.layer == "Bilinear":
            yield from _leading(layer, first, operand)
        elif layer.layer == "Transformer" and operand.name == "tgt":
            yield from _batches(layer, first, operand, dim=_batch_dim(layer))
    if layer.layer == "MultiheadAttention":
        yield from _attention(call, layer, first)


def _batch_dim(layer: ModuleMeta) -> int:
    return 0 if layer.settings.get("batch_first") else 1


def _clash(headline: tuple[str, ...], wanted: str, operand: Operand, beside: Operand, fixes: Iterator[Fix]) -> Clash:
    return Clash(first_that_fits(*headline), wanted, (operand, beside), fixes=tuple(fixes), site=operand.site)


def _called(operand: Operand) -> str:
    return f"`{operand.handed or operand.name}`"


def _batches(layer: ModuleMeta, first: Operand, operand: Operand, *, dim: int) -> Iterator[Clash]:
    """Two inputs of one batch."""
    given, other = first.meta.shape, operand.meta.shape
    if len(given) != len(other) or len(given) <= dim + 1 or given[dim] == other[dim]:
        return
    wanted = (*other[:dim], given[dim], *other[dim + 1 :])
    both = f"{given[dim]} in {_called(first)}, {other[dim]} in {_called(operand)}"
    yield _clash(
        (
            f"{titled(layer)} got batches of two sizes: {both}",
            f"{title(layer)} got batches of {given[dim]} and {other[dim]}",
        ),
        f"{operand.meta.dtype}{list(wanted)}",
        operand,
        first,
        refits(operand, lambda shape: shape == wanted),
    )


def _leading(layer: ModuleMeta, first: Operand, operand: Operand) -> Iterator[Clash]:
    """Two inputs of which all dims but the last are the same."""
    given, other = first.meta.shape, operand.meta.shape
    for dim, (a, b) in enumerate(zip(given[:-1], other[:-1], strict=False)):
        if a != b and len(given) == len(other):
            yield from _batches(layer, first, operand, dim=dim)


def _hidden(layer: ModuleMeta, first: Operand, operand: Operand) -> Iterator[Clash]:
    """A hidden state of another batch, or of another number of layers and directions."""
    given, state = first.meta.shape, operand.meta.shape
    if len(given) != len(state) or not operand.name.startswith("hx"):
        return
    batch = given[_batch_dim(layer)] if len(given) == _BATCHED else None
    layers = _layers(layer)
    wanted = (layers, *([] if batch is None else [batch]), state[-1])
    if state == wanted:
        return
    if state[0] != layers:
        say = f"got a state of size {state[0]} in dim 0 but has {layers} layers and directions"
    else:
        say = f"got a batch of {batch} with a state of {state[1]}"
    yield _clash(
        (f"{titled(layer)} {say}", f"{title(layer)} {say}"),
        f"{operand.meta.dtype}{list(wanted)}",
        operand,
        first,
        reshapings(operand, wanted),
    )


def _layers(layer: ModuleMeta) -> int:
    count = layer.settings.get("num_layers")
    return (count if isinstance(count, int) else 1) * (2 if layer.settings.get("bidirectional") else 1)


def _attention(call: FailedCall, layer: ModuleMeta, query: Operand) -> Iterator[Clash]:
    """Keys, values and masks that don't go with the queries."""
    key, value = call.operand("key"), call.operand("value")
    if key is None or value is None or len(key.meta.shape) != len(query.meta.shape):
        return
    if key.meta.shape[:-1] != value.meta.shape[:-1]:
        yield _unequal_lengths(layer, key, value)
    if len(query.meta.shape) == _BATCHED:
        yield from _batches(layer, query, key, dim=_batch_dim(layer))
    for name, shapes in _mask_shapes(layer, query, key).items():
        mask = call.operand(name)
        if mask is not None and mask.meta.shape not in shapes:
            is_other_dim = name == "key_padding_mask" and _takes_other_dim(layer, mask, key)
            yield _other_dim(call, layer, mask, key) if is_other_dim else _wrong_mask(layer, mask, query, shapes)


def _takes_other_dim(layer: ModuleMeta, mask: Operand, key: Operand) -> bool:
    """Whether the mask fits the keys once the layer takes the other of their first two dims for the batch."""
    sizes, dim = key.meta.shape, _batch_dim(layer)
    is_flag = isinstance(layer.settings.get("batch_first"), bool)
    return is_flag and len(sizes) == _BATCHED and mask.meta.shape == (sizes[1 - dim], sizes[dim])


def _other_dim(call: FailedCall, layer: ModuleMeta, mask: Operand, key: Operand) -> Clash:
    """A mask that goes with the keys; to reshape it would hide that the layer mixes up the batch."""
    dim, name = _batch_dim(layer), mask.handed or mask.name
    batch, other = key.meta.shape[1 - dim], key.meta.shape[dim]
    fix = batch_first_fix(call, layer, is_on=dim == 1)
    clash = _clash(
        (
            f"{titled(layer)} takes dim {dim} for the batch: {other}, but `{name}` has {batch}",
            f"`{layer.kind}` takes dim {dim} for the batch: {other}, but `{name}` has {batch}",
            f"`{layer.kind}` takes dim {dim} for the batch: {other}, its padding mask has {batch}",
        ),
        f"{mask.meta.dtype}[{other}, {batch}]    batch_first={dim == 0}",
        mask,
        key,
        iter([fix]),
    )
    note = f"likely: the batch is dim {1 - dim}, which `batch_first={dim == 1}` says"
    return replace(clash, note=note, built=layer.definition)


def _unequal_lengths(layer: ModuleMeta, key: Operand, value: Operand) -> Clash:
    dims = [dim for dim, (a, b) in enumerate(zip(key.meta.shape, value.meta.shape, strict=False)) if a != b]
    dim = dims[0] if dims else 0
    sizes = f"{key.meta.shape[dim]} and {value.meta.shape[dim]}"
    return _clash(
        (f"{titled(layer)} got keys and values of sizes {sizes} in dim {dim}",),
        f"{value.meta.dtype}[{', '.join(map(str, key.meta.shape[:-1]))}, *]",
        value,
        key,
        reshapings(value, (*key.meta.shape[:-1], value.meta.shape[-1])),
    )


def _mask_shapes(layer: ModuleMeta, query: Operand, key: Operand) -> dict[str, tuple[Shape, ...]]:
    """What each mask may be, as the documentation of `torch.nn.MultiheadAttention` has it."""
    is_batched = len(query.meta.shape) == _BATCHED
    sequence = 1 - _batch_dim(layer) if is_batched else 0
    target, source = query.meta.shape[sequence], key.meta.shape[sequence]
    batch = query.meta.shape[_batch_dim(layer)] if is_batched else 1
    heads = layer.settings.get("num_heads")
    count = batch * heads if isinstance(heads, int) else batch
    return {
        "attn_mask": ((target, source), (count, target, source)),
        "key_padding_mask": ((batch, source) if is_batched else (source,),),
    }


def _wrong_mask(layer: ModuleMeta, mask: Operand, query: Operand, shapes: tuple[Shape, ...]) -> Clash:
    given = mask.meta.shape
    wanted = " or ".join(f"{mask.meta.dtype}{list(shape)}" for shape in shapes)
    is_square = math.prod(given) == math.prod(shapes[0])
    fixes = reshapings(mask, shapes[0]) if is_square else iter(())
    return _clash(
        (
            f"{titled(layer)} takes {list(shapes[0])} as `{mask.name}` but got {list(given)}",
            f"`{mask.name}` is {list(given)} but `{layer.kind}` takes {list(shapes[0])}",
        ),
        wanted,
        mask,
        query,
        fixes,
    )
