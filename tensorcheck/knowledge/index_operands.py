"""Which argument of a layer or a function holds indices or a mask, so that its dtype is another than its values'.

The facts are from the documentation of PyTorch 2.13.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tensorcheck.calls import FailedCall, Operand

Role = Literal["indices", "mask"]


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """The argument of a function that holds its indices or its mask."""

    position: int
    """As an operand's `place` has it."""
    keyword: str
    role: Role = "indices"


_LAYERS: Mapping[str, Mapping[str, Role]] = {
    "Embedding": {"input": "indices"},
    "EmbeddingBag": {"input": "indices", "offsets": "indices"},
    **{f"MaxUnpool{n}d": {"indices": "indices"} for n in (1, 2, 3)},
    "MultiheadAttention": {"key_padding_mask": "mask", "attn_mask": "mask"},
}
_MASKS = ("mask", "src_mask", "tgt_mask", "memory_mask")
_FUNCTIONS: Mapping[str, IndexPlace] = {
    **dict.fromkeys(
        ["gather", "index_select", "index_add", "index_copy", "index_fill", "index_reduce", "scatter", "scatter_add"],
        IndexPlace(2, "index"),
    ),
    "scatter_reduce": IndexPlace(2, "index"),
    "take": IndexPlace(1, "index"),
    "take_along_dim": IndexPlace(1, "indices"),
    "index_put": IndexPlace(1, "indices"),
    "one_hot": IndexPlace(0, "tensor"),
    "range": IndexPlace(0, "stop"),
    "bincount": IndexPlace(0, "input"),
    "embedding": IndexPlace(0, "input"),
    "repeat_interleave": IndexPlace(1, "repeats"),
    "where": IndexPlace(0, "condition", "mask"),
    "masked_fill": IndexPlace(1, "mask", "mask"),
    "masked_select": IndexPlace(1, "mask", "mask"),
    "masked_scatter": IndexPlace(1, "mask", "mask"),
    "scaled_dot_product_attention": IndexPlace(3, "attn_mask", "mask"),
    **dict.fromkeys(["getitem", "setitem"], IndexPlace(1, "index")),
}


def index_operands(call: FailedCall) -> Iterator[tuple[Operand, Role]]:
    """The operands of a call that are to hold indices or a mask."""
    for operand in call.operands:
        role = _role(call, operand)
        if role is not None:
            yield operand, role


def value_operands(call: FailedCall) -> tuple[Operand, ...]:
    """The other operands.

    >>> from tensorcheck.tensors import TensorMeta
    >>> tokens = Operand("input", TensorMeta((8, 4), "int64", "cpu"))
    >>> weights = Operand("per_sample_weights", TensorMeta((8, 4), "float32", "cpu"))
    >>> [operand.name for operand in value_operands(FailedCall("EmbeddingBag", "layer", (tokens, weights)))]
    ['per_sample_weights']
    """
    return tuple(operand for operand in call.operands if _role(call, operand) is None)


def has_byte_indices(call: FailedCall) -> bool:
    """Whether a tensor is indexed with bytes that are no mask of zeros and ones, for which they will be taken."""
    bytes_ = [each for each in call.operands if each.place == "index" and each.meta.dtype == "uint8"]
    return any(each.high is not None and each.high > 1 for each in bytes_)


def _role(call: FailedCall, operand: Operand) -> Role | None:
    if call.kind == "layer":
        return _role_in_layer(call.function, operand)
    place = _FUNCTIONS.get(call.function.rstrip("_"))
    if place is None or call.kind != "operation":
        return None
    return place.role if operand.place in _spellings(call, place) else None


def _role_in_layer(layer: str, operand: Operand) -> Role | None:
    """Masks may be floats too, and then have the dtype of the values."""
    is_of_transformer = operand.name in _MASKS or operand.name.endswith("_key_padding_mask")
    role = "mask" if layer.startswith("Transformer") and is_of_transformer else _LAYERS.get(layer, {}).get(operand.name)
    return None if role == "mask" and operand.meta.is_floating_point else role


def _spellings(call: FailedCall, place: IndexPlace) -> tuple[str, ...]:
    is_method = any(operand.place == "self" for operand in call.operands)
    if call.function == "where" and is_method:
        return (place.keyword, "1")
    return (place.keyword, str(place.position), *(() if place.position else ("self",)))
