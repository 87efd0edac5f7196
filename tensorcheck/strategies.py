"""Strategies for hypothesis: tensors of a spec, batches like one that is at hand, specs, and small healthy models.

Values come from hypothesis' own strategy of NumPy arrays, which draws few distinct values fast and shrinks them to
zeros; a tensor is made of each array. hypothesis-torch has strategies of whole tensors too, but none whose shapes bind
names, which is what a spec is for.

A tensor that hypothesis shows can be pasted, after `from torch import tensor`, while it is small.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tensorcheck.specs.dims import Computed, Dim, Fixed, Ignored, Named, Several
from tensorcheck.specs.dtypes import KINDS, takes
from tensorcheck.specs.shape_strings import ShapeSpec, match_shape
from tensorcheck.specs.spec import TensorSpec

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as npst
except ImportError as error:  # it is needed for nothing else
    msg = "tensorcheck.strategies needs hypothesis: pip install hypothesis"
    raise ImportError(msg) from error

Layout = Literal["contiguous", "strided", "expanded", "channels_last"]

_DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint8, torch.bool, torch.complex64, torch.complex128),
)
_NUMPY: Mapping[torch.dtype, str] = {
    torch.float16: "float32",
    torch.bfloat16: "float32",
    torch.bool: "bool",
    **{dtype: str(dtype).removeprefix("torch.") for dtype in _DTYPES if dtype not in (torch.float16, torch.bfloat16)},
}
"""The dtypes of NumPy that values are drawn in; it has no bfloat16, and half is drawn as what half can hold."""


def tensors(  # noqa: PLR0913 - each may be left out
    spec: TensorSpec | str,
    *,
    sizes: Mapping[str, int] | None = None,
    max_size: int = 5,
    allow_empty: bool = False,
    values: tuple[float, float] = (-10, 10),
    allow_nonfinite: bool = False,
    layouts: Sequence[Layout] = ("contiguous",),
    device: str | None = None,
) -> "st.SearchStrategy[Tensor]":
    """Tensors that satisfy a spec, shrinking to zeros of the smallest sizes.

    Names in `sizes` have that size; the others are drawn between 1, or 0 with `allow_empty`, and `max_size`. Values lie
    within `values`, NaN and infinity among them with `allow_nonfinite`. Where the spec names no dtype it is float32,
    and of a kind such as `float` each is drawn. A layout is drawn of `layouts`: `strided` has gaps in its memory,
    `expanded` repeats its first row without a copy, and `channels_last` is for four dims; what a shape can't have is
    contiguous.

    >>> from hypothesis import find
    >>> find(tensors("batch 3"), lambda tensor: True)
    tensor([[0., 0., 0.]])
    """
    wanted = TensorSpec.read(spec) if isinstance(spec, str) else spec
    return _tensors(wanted, dict(sizes or {}), max_size, allow_empty, values, allow_nonfinite, tuple(layouts), device)


@st.composite
def _tensors(  # noqa: PLR0913, PLR0917 - what `tensors` was asked for
    draw: "st.DrawFn",
    spec: TensorSpec,
    sizes: dict[str, int],
    max_size: int,
    allow_empty: bool,  # noqa: FBT001 - as `tensors` has it
    values: tuple[float, float],
    allow_nonfinite: bool,  # noqa: FBT001 - likewise
    layouts: tuple[Layout, ...],
    device: str | None,
) -> Tensor:
    shape = draw(shapes(spec.dims, sizes=sizes, max_size=max_size, allow_empty=allow_empty))
    dtype = draw(st.sampled_from(_dtypes_of(spec, needs_grad=spec.requires_grad is True)))
    elements = _elements(dtype, values, allow_nonfinite=allow_nonfinite)
    is_sparse = values[0] <= 0 <= values[1] and not draw(st.booleans())
    array = draw(npst.arrays(_NUMPY[dtype], shape, elements=elements, fill=st.just(0) if is_sparse else None))
    made = torch.from_numpy(np.ascontiguousarray(array).reshape(shape)).to(dtype)
    laid = _laid_out(made, draw(st.sampled_from(layouts)))
    place = device or spec.device
    moved = laid if place is None or place == "cpu" else laid.to(place)
    return moved.requires_grad_() if spec.requires_grad else moved


@st.composite
def several(
    draw: "st.DrawFn",
    specs: Sequence[TensorSpec],
    options: Mapping[str, Any],
) -> tuple[Tensor, ...]:
    """Tensors of several specs, of which a name is one size in all; the options are those of `tensors`."""
    sizes: dict[str, Any] = {}
    found = []
    for spec in specs:
        found.append(draw(tensors(spec, sizes=sizes, **options)))
        match_shape(spec.dims, found[-1].shape, sizes)
    return tuple(found)


@st.composite
def shapes(
    draw: "st.DrawFn",
    spec: ShapeSpec,
    *,
    sizes: Mapping[str, int] | None = None,
    max_size: int = 5,
    allow_empty: bool = False,
) -> tuple[int, ...]:
    """Shapes that satisfy a shape string, as `read_shape` reads it; for sizes, see `tensors`."""
    least = 0 if allow_empty else 1
    known: dict[str, Any] = dict(sizes or {})
    one = st.integers(least, max_size)
    for dim in spec.dims:
        for name in dim.expression.names if isinstance(dim, Computed) else [dim.name] if isinstance(dim, Named) else []:
            if name not in known:
                known[name] = draw(one)
    found: list[int] = []
    for dim in spec.dims:
        found += _sizes_of(draw, dim, known, one)
    return tuple(found)


def _sizes_of(draw: "st.DrawFn", dim: Dim, known: dict[str, Any], one: "st.SearchStrategy[int]") -> list[int]:
    from hypothesis import reject  # noqa: PLC0415 - beside its only use

    match dim:
        case Fixed(size=size):
            return [size]
        case Named(name=name):
            return [known[name]]
        case Ignored():
            return [draw(one)]
        case Several(name=name):
            if not name:
                return draw(st.lists(one, max_size=2))
            return list(known.setdefault(name, tuple(draw(st.lists(one, max_size=2)))))
    try:
        value = dim.expression.value(known)
    except ZeroDivisionError:
        reject()
    if not isinstance(value, int) or value < 0:
        reject()
    return [value]


def _dtypes_of(spec: TensorSpec, *, needs_grad: bool) -> list[torch.dtype]:
    if not spec.dtype:
        return [torch.float32]
    found = [dtype for dtype in _DTYPES if takes(spec.dtype, dtype)]
    if needs_grad:
        found = [dtype for dtype in found if dtype.is_floating_point or dtype.is_complex]
    if not found:
        msg = f"dtype: no values can be drawn of {' or '.join(spec.dtype)}{' with a gradient' if needs_grad else ''}"
        raise ValueError(msg)
    return found


def _elements(dtype: torch.dtype, values: tuple[float, float], *, allow_nonfinite: bool) -> "st.SearchStrategy[Any]":
    low, high = values
    if dtype is torch.bool:
        return st.booleans()
    if dtype.is_floating_point:
        width: Literal[16, 32, 64] = (
            16 if dtype in (torch.float16, torch.bfloat16) else 32 if dtype is torch.float32 else 64
        )
        finite = st.floats(low, high, width=width, allow_nan=False, allow_infinity=False, allow_subnormal=False)
        return st.one_of(finite, st.sampled_from([math.nan, math.inf, -math.inf])) if allow_nonfinite else finite
    if dtype.is_complex:
        bound = max(abs(low), abs(high))
        bits: Literal[64, 128] = 64 if dtype is torch.complex64 else 128
        return st.complex_numbers(max_magnitude=bound, allow_nan=False, allow_infinity=False, width=bits)
    info = torch.iinfo(dtype)
    return st.integers(max(info.min, math.ceil(low)), min(info.max, math.floor(high)))


def _laid_out(tensor: Tensor, layout: Layout) -> Tensor:
    if layout == "strided" and tensor.dim() and tensor.size(-1):
        return torch.stack([tensor, tensor], -1).flatten(-2)[..., ::2]
    if layout == "expanded" and tensor.dim() and tensor.size(0) > 1:
        return tensor[:1].clone().expand(tensor.shape)
    if layout == "channels_last" and tensor.dim() == 4:  # noqa: PLR2004 - the layout of images
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def batches_like(
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    *,
    max_batch: int = 4,
    allow_empty: bool = False,
    layouts: Sequence[Layout] = ("contiguous",),
) -> "st.SearchStrategy[Any]":
    """Batches of the structure, dtypes and shapes of one, or of the first of a DataLoader, with other samples.

    The number of samples is drawn between 1, or 0 with `allow_empty`, and `max_batch`. Values lie within the range of
    what the batch has, so that numbers of classes and words stay among those that there are.

    >>> from hypothesis import find
    >>> find(batches_like((torch.rand(8, 3), torch.arange(8))), lambda batch: True)
    (tensor([[0., 0., 0.]]), tensor([0]))
    """
    first = next(iter(batch)) if isinstance(batch, DataLoader) else batch
    sizes = [each.size(0) for each in _tensors_in(first) if each.dim()]
    samples = st.integers(0 if allow_empty else 1, max_batch)
    return samples.flatmap(lambda count: _like(first, sizes[0] if sizes else -1, count, tuple(layouts)))


def _tensors_in(value: Any) -> list[Tensor]:  # noqa: ANN401 - nested
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors_in(part)]


def _like(value: Any, batch: int, count: int, layouts: tuple[Layout, ...]) -> "st.SearchStrategy[Any]":  # noqa: ANN401
    if isinstance(value, Tensor):
        return _tensor_like(value, batch, count, layouts)
    if isinstance(value, Mapping):
        return st.fixed_dictionaries({key: _like(part, batch, count, layouts) for key, part in value.items()})
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return st.builds(type(value), *[_like(part, batch, count, layouts) for part in value])
    if isinstance(value, list | tuple):
        parts = st.tuples(*[_like(part, batch, count, layouts) for part in value])
        return parts.map(list) if isinstance(value, list) else parts
    return st.just(value)


def _tensor_like(value: Tensor, batch: int, count: int, layouts: tuple[Layout, ...]) -> "st.SearchStrategy[Tensor]":
    sizes = [count if place == 0 and size == batch else size for place, size in enumerate(value.shape)]
    spec = TensorSpec(
        " ".join(map(str, sizes)), dtype=value.dtype, device=value.device, requires_grad=value.requires_grad
    )
    return tensors(spec, values=_range(value), layouts=layouts)


def _range(value: Tensor) -> tuple[float, float]:
    """Between which values those of a tensor lie, outwards to whole numbers."""
    known = value.detach()
    if value.is_complex():
        known = known.abs()
    known = known[torch.isfinite(known)].to(torch.float64)
    if not known.numel():
        return 0, 0
    return math.floor(known.min()), math.ceil(known.max())


@st.composite
def specs(draw: "st.DrawFn", *, max_dims: int = 4) -> TensorSpec:
    """Specs of every form: numbers, names, arithmetic, any number of dims, dtypes and kinds of them, gradients.

    >>> from hypothesis import find
    >>> find(specs(), lambda spec: spec.requires_grad is True).requires_grad
    True
    """
    word = st.one_of(
        st.integers(0, 4).map(str),
        st.sampled_from(["batch", "h", "w", "_", "#batch", "#3", "rows=4", "_rows", "2*h", "h+1", "max(h,w)"]),
    )
    words = draw(st.lists(word, max_size=max_dims))
    words += [
        name for name in ("h", "w") if name not in words and any(name in each.rpartition("=")[2] for each in words)
    ]
    if draw(st.booleans()):
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(["...", "*rest", "*#rest"])))
    dtype = draw(st.one_of(st.none(), st.sampled_from([*_DTYPES, *KINDS])))
    drawn = _dtypes_of(TensorSpec(dtype=dtype), needs_grad=False)
    can_have_grad = any(each.is_floating_point or each.is_complex for each in drawn)
    grad = draw(st.sampled_from([None, False, True] if can_have_grad else [None, False]))
    return TensorSpec(" ".join(words), dtype=dtype, requires_grad=grad)


def modules() -> "st.SearchStrategy[tuple[nn.Module, TensorSpec]]":
    """Small healthy models in float32, each with the spec of its input, whose first dim is the batch.

    Perceptrons, convolutional networks, recurrent ones and attention over words.

    >>> from hypothesis import find
    >>> model, spec = find(modules(), lambda drawn: isinstance(drawn[0][0], nn.Conv2d))
    >>> print(spec)
    float32[batch 1 h w]
    """
    return st.one_of(_perceptrons(), _convolutional(), _recurrent(), _attentive())


_WIDTH = st.integers(1, 8)
_ACTIVATION = st.sampled_from([nn.ReLU, nn.GELU, nn.Tanh, nn.SiLU])

Drawn = tuple[nn.Module, TensorSpec]


@st.composite
def _perceptrons(draw: "st.DrawFn") -> Drawn:
    widths = draw(st.lists(_WIDTH, min_size=2, max_size=4))
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), draw(_ACTIVATION)()]
    return nn.Sequential(*layers[:-1]), TensorSpec(f"batch {widths[0]}", dtype=torch.float32)


@st.composite
def _convolutional(draw: "st.DrawFn") -> Drawn:
    channels, width, classes = draw(st.integers(1, 3)), draw(_WIDTH), draw(_WIDTH)
    norm = draw(st.sampled_from([nn.Identity, nn.BatchNorm2d]))
    layers = [nn.Conv2d(channels, width, 3, padding=1), norm(width), draw(_ACTIVATION)()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    return nn.Sequential(*layers, *head), TensorSpec(f"batch {channels} h w", dtype=torch.float32)


class _Last(nn.Module):
    """A recurrent layer, of which the last step counts."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The states of the last step, `[batch, width]`."""
        steps: Tensor = self.layer(x)[0]
        return steps[:, -1]


@st.composite
def _recurrent(draw: "st.DrawFn") -> Drawn:
    features, width = draw(_WIDTH), draw(_WIDTH)
    layer = draw(st.sampled_from([nn.RNN, nn.GRU, nn.LSTM]))(features, width, batch_first=True)
    return nn.Sequential(_Last(layer), nn.Linear(width, 2)), TensorSpec(f"batch steps {features}", dtype=torch.float32)


@st.composite
def _attentive(draw: "st.DrawFn") -> Drawn:
    heads = draw(st.integers(1, 2))
    width = heads * draw(st.integers(1, 4))
    block = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Linear(3, width), block, nn.Linear(width, 2)), TensorSpec(
        "batch steps 3", dtype=torch.float32
    )
