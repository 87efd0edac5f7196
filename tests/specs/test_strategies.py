"""Strategies: what they draw satisfies what was asked for."""

from collections import namedtuple

import pytest
import torch
from hypothesis import find, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck import TensorSpec, strategies

Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - as users have them


@given(st.data())
def test_tensors_satisfy_their_spec(data: st.DataObject) -> None:
    spec = data.draw(strategies.specs())
    tensor = data.draw(strategies.tensors(spec, allow_empty=True))
    assert spec.mismatches(tensor) == ()


@given(strategies.tensors("batch h h/2", max_size=8))
def test_arithmetic_holds(tensor: Tensor) -> None:
    assert tensor.size(1) == 2 * tensor.size(2)


@given(strategies.tensors("batch classes", sizes={"classes": 7}, values=(0, 1)))
def test_sizes_and_values_are_those_that_were_asked_for(tensor: Tensor) -> None:
    assert tensor.size(1) == 7
    assert tensor.size(0) >= 1
    assert bool(((tensor >= 0) & (tensor <= 1)).all())


@pytest.mark.parametrize("dtype", strategies._DTYPES)
def test_every_dtype_is_drawn(dtype: torch.dtype) -> None:
    tensor = find(strategies.tensors(TensorSpec("3", dtype=dtype)), lambda drawn: bool((drawn != 0).any()))
    assert tensor.dtype is dtype


@given(strategies.tensors(TensorSpec("4 3", dtype=torch.bfloat16), values=(-1, 1)))
def test_finite_values_stay_finite_in_bfloat16(tensor: Tensor) -> None:
    assert bool(torch.isfinite(tensor).all())


def test_values_that_are_not_finite_come_when_they_are_wanted() -> None:
    drawn = find(strategies.tensors("3", allow_nonfinite=True), lambda tensor: bool(tensor.isnan().any()))
    assert drawn.isnan().any()


def test_an_empty_batch_comes_when_it_is_wanted() -> None:
    assert find(strategies.tensors("batch 3", allow_empty=True), lambda tensor: True).shape == (0, 3)


@pytest.mark.parametrize(
    ("layout", "is_it"),
    [
        ("strided", lambda tensor: not tensor.is_contiguous()),
        ("expanded", lambda tensor: tensor.stride(0) == 0),
        ("channels_last", lambda tensor: tensor.is_contiguous(memory_format=torch.channels_last)),
    ],
)
def test_layouts_are_drawn(layout: strategies.Layout, is_it: object) -> None:
    drawn = strategies.tensors("batch 3 h w", layouts=[layout], sizes={"batch": 2, "h": 4, "w": 4})
    assert find(drawn, is_it).shape == (2, 3, 4, 4)  # type: ignore[arg-type]  # a function of a tensor


def test_a_gradient_and_a_device_are_as_the_spec_says() -> None:
    assert find(strategies.tensors(TensorSpec("2", requires_grad=True)), lambda tensor: True).requires_grad
    with tensorcheck.simulate_device("cuda"):
        assert find(strategies.tensors(TensorSpec("2", device="cuda")), lambda tensor: True).is_cuda


def test_a_dtype_that_can_not_have_a_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match="no values can be drawn of int64 with a gradient"):
        find(strategies.tensors(TensorSpec("2", dtype=torch.int64, requires_grad=True)), lambda tensor: True)


def test_what_is_shrunk_is_small_and_can_be_pasted() -> None:
    drawn = find(strategies.tensors("batch 3"), lambda tensor: bool((tensor > 1).any()))
    assert drawn.shape == (1, 3)
    assert torch.equal(eval(repr(drawn), {"tensor": torch.tensor}), drawn)  # noqa: S307 - our own
    assert set(drawn.flatten().tolist()) <= {0.0, 2.0}


BATCHES = [
    (torch.rand(8, 3), torch.arange(8) % 4),
    {"image": torch.rand(8, 1, 4, 4), "label": torch.arange(8)},
    [torch.rand(8, 2), {"mask": torch.ones(8, dtype=torch.bool)}],
    Pair(torch.rand(8), torch.zeros(8, dtype=torch.int32)),
]


@pytest.mark.parametrize("batch", BATCHES)
def test_batches_are_like_the_one_at_hand(batch: object) -> None:
    drawn = find(strategies.batches_like(batch), lambda found: True)
    assert type(drawn) is type(batch)
    for one, other in zip(strategies._tensors_in(drawn), strategies._tensors_in(batch), strict=True):
        assert one.dtype is other.dtype
        assert one.shape[1:] == other.shape[1:]
        assert one.size(0) == 1


@given(st.data())
def test_numbers_of_classes_stay_among_those_that_there_are(data: st.DataObject) -> None:
    loader = DataLoader(TensorDataset(torch.rand(8, 3), torch.arange(8) % 4), batch_size=8)
    images, labels = data.draw(strategies.batches_like(loader))
    assert images.size(0) == labels.size(0) <= 4
    assert int(labels.max()) <= 3


@given(st.data())
def test_models_take_what_their_spec_says_and_train(data: st.DataObject) -> None:
    model, spec = data.draw(strategies.modules())
    inputs = data.draw(strategies.tensors(spec, sizes={"batch": 3}))
    output = model(inputs)
    assert output.size(0) == 3
    output.square().mean().backward()
    assert all(each.grad is not None for each in model.parameters())


@given(strategies.specs())
def test_specs_read_what_they_print(spec: TensorSpec) -> None:
    assert TensorSpec.read(str(spec)) == spec


@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv2d, nn.LSTM, nn.TransformerEncoderLayer])
def test_every_kind_of_model_is_drawn(kind: type[nn.Module]) -> None:
    def has_kind(drawn: tuple[nn.Module, TensorSpec]) -> bool:
        return any(isinstance(part, kind) for part in drawn[0].modules())

    model, _ = find(strategies.modules(), has_kind)
    assert isinstance(model, nn.Module)
