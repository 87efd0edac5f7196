"""Assertions of tensors: what passes, and how a failure reads."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck import TensorSpec, testing


def message(assertion: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as raised:
        assertion()
    return str(raised.value)


def test_a_failure_names_the_tensor_as_the_test_spells_it() -> None:
    logits = torch.zeros(8, 10)
    assert message(lambda: testing.assert_spec(logits, "batch 5")) == (
        "`logits` is float32[8, 10] cpu\n  expected: [batch 5]\n  dim 1 is 10 and should be 5"
    )


def test_every_aspect_that_is_wrong_is_told() -> None:
    x = torch.zeros(3)
    told = message(
        lambda: testing.assert_spec(x, "4", dtype=torch.int64, device="cuda", requires_grad=True)
    ).splitlines()
    assert told[1:] == [
        "  expected: int64[4] cuda, grad",
        "  dim 0 is 3 and should be 4",
        "  its dtype is float32 and should be int64",
        "  its device is cpu and should be cuda",
        "  its requires_grad is False and should be True",
    ]


def test_the_parts_of_a_batch_share_their_names() -> None:
    batch = {"image": torch.zeros(8, 1, 4, 4), "label": torch.zeros(7, dtype=torch.int64)}
    specs = {"image": "batch 1 h h", "label": TensorSpec("batch", dtype="int")}
    assert message(lambda: testing.assert_spec(batch, specs)) == (
        '`batch["label"]` is int64[7] cpu\n  expected: int[batch]\n'
        "  dim 0 is 7 and should be 'batch', which is 8\n  'batch' is 8 since `batch[\"image\"]`"
    )


def test_a_pair_is_matched_place_by_place() -> None:
    pair = (torch.zeros(8, 3), torch.zeros(8))
    testing.assert_spec(pair, ("batch 3", "batch"))
    assert "`pair` is tuple of 2\n  expected: 3 parts" in message(lambda: testing.assert_spec(pair, ("...",) * 3))


def test_one_spec_is_for_every_tensor() -> None:
    testing.assert_spec([torch.zeros(2, 3), (torch.ones(2, 3),)], "2 3")
    assert "1 more" in message(lambda: testing.assert_spec([torch.zeros(1)] * 6, "2"))


def test_a_key_that_is_missing_is_named() -> None:
    batch = {"image": torch.zeros(1)}
    assert "a key 'label'" in message(lambda: testing.assert_spec(batch, {"image": "1", "label": "1"}))


def test_what_holds_no_tensor_is_told() -> None:
    assert "`[1, 2]` is list without a tensor" in message(lambda: testing.assert_spec([1, 2], "..."))


def test_a_module_is_asserted_by_its_parameters() -> None:
    model = nn.Linear(4, 2)
    testing.assert_spec(model, {"weight": "out in", "bias": "out"})
    testing.assert_dtype(model, torch.float32)
    testing.assert_requires_grad(model)
    model.bias.requires_grad_(False)
    assert message(lambda: testing.assert_requires_grad(model)).startswith("`bias` is float32[2] cpu")


def test_the_small_assertions_are_parts_of_it() -> None:
    x = torch.zeros(8, 3, requires_grad=True)
    testing.assert_shape(x, "batch 3")
    testing.assert_shape(x, (8, 3))
    testing.assert_shape(x, x.shape)
    testing.assert_dtype(x, "float")
    testing.assert_device(x, torch.device("cpu"))
    testing.assert_requires_grad(x)
    testing.assert_requires_grad(x.detach(), False)
    for assertion in (
        lambda: testing.assert_shape(x, "batch 4"),
        lambda: testing.assert_dtype(x, [torch.float64, torch.int64]),
        lambda: testing.assert_device(x, "meta"),
        lambda: testing.assert_requires_grad(x, False),
    ):
        assert message(assertion).startswith("`x` is float32[8, 3] cpu, grad")


def test_a_device_of_the_simulation_is_asserted() -> None:
    with tensorcheck.simulate_device("cuda"):
        x = torch.zeros(2, device="cuda")
        testing.assert_device(x, "cuda")
        assert "its device is cuda:0 and should be cpu" in message(lambda: testing.assert_device(x, "cpu"))


def test_names_bind_across_calls_within_dims() -> None:
    x, y = torch.zeros(8, 3), torch.zeros(7)
    with testing.dims() as sizes:
        testing.assert_shape(x, "batch 3")
        assert sizes == {"batch": 8}
        told = message(lambda: testing.assert_shape(y, "batch"))
    assert told.splitlines()[-1] == "  'batch' is 8 since `x`"
    testing.assert_shape(y, "batch")


def test_names_of_parts_bind_across_calls_within_dims() -> None:
    batch = {"image": torch.zeros(8, 3)}
    with testing.dims():
        testing.assert_spec(batch, {"image": "batch 3"})
        told = message(lambda: testing.assert_shape(torch.zeros(7), "batch"))
    assert told.splitlines()[-1] == "  'batch' is 8 since `batch[\"image\"]`"


def test_dims_takes_sizes_and_nests() -> None:
    with testing.dims(classes=10):
        with testing.dims():
            testing.assert_shape(torch.zeros(4, 10), "batch classes")
        testing.assert_shape(torch.zeros(5, 10), "batch classes")
        assert "since `dims`" in message(lambda: testing.assert_shape(torch.zeros(9), "classes"))


def test_a_failed_assertion_teaches_dims_nothing() -> None:
    with testing.dims() as sizes:
        message(lambda: testing.assert_shape(torch.zeros(8, 4), "batch 3"))
        assert sizes == {}


def test_values_that_are_not_finite_are_counted_and_placed() -> None:
    x = torch.ones(2, 3)
    x[0, 2], x[1, 1] = torch.nan, torch.inf
    assert message(lambda: testing.assert_finite({"x": x})) == (
        "`{'x': x}[\"x\"]` is float32[2, 3] cpu\n  expected: every value finite\n"
        "  1 of its 6 values is NaN and 1 is infinite, the first at [0, 2]"
    )
    testing.assert_finite([torch.ones(3), torch.zeros(2, dtype=torch.int64)])


def test_a_gradient_that_is_not_finite_is_named() -> None:
    model = nn.Linear(2, 1)
    model.weight.grad = torch.full_like(model.weight, torch.nan)
    assert message(lambda: testing.assert_finite(model)).startswith("`weight.grad` is float32[1, 2] cpu")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x.T, "its transpose is close to what is expected"),
        (lambda x: -x, "with the other sign it is close to what is expected"),
        (lambda x: 255 * x, "255 times it is close to what is expected"),
        (lambda x: x.reshape(2, 8), "reshaped to [2, 8] it is close to what is expected"),
        (lambda x: x.double(), "cast to float64 it is close to what is expected"),
    ],
)
def test_closeness_says_what_would_make_it_so(change: Callable[[torch.Tensor], torch.Tensor], told: str) -> None:
    x = torch.arange(1.0, 17).reshape(4, 4)
    words = message(lambda: testing.assert_close(x, change(x)))
    assert words.startswith("`x` is float32[4, 4] cpu")
    assert f"  {told}\n" in words


def test_closeness_names_the_part_and_ends_with_the_words_of_pytorch() -> None:
    states = {"a": torch.zeros(2), "b": torch.tensor([1.0, 2.0])}
    words = message(lambda: testing.assert_close(states, {"a": torch.zeros(2), "b": torch.tensor([1.0, 3.0])}))
    assert words.startswith(
        '`states["b"]` is float32[2] cpu\n  expected: float32[2] cpu\n  at [1] it is 2.0 and should be 3.0'
    )
    assert "Mismatched elements: 1 / 2 (50.0%)" in words


def test_what_is_close_passes_as_in_pytorch() -> None:
    testing.assert_close(torch.ones(2), torch.ones(2) + 1e-7)
    testing.assert_close(torch.ones(2), torch.ones(2).double(), check_dtype=False)
    testing.assert_close([torch.tensor(torch.nan)], [torch.tensor(torch.nan)], equal_nan=True)
    assert "not close" in message(lambda: testing.assert_close(1.0, 2.0))


def test_a_name_that_is_no_assertion_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'assert_shapes'"):
        _ = testing.assert_shapes  # type: ignore[attr-defined]  # that is the point


@pytest.mark.parametrize("name", testing.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(testing, name).__doc__
    assert name in dir(testing)
