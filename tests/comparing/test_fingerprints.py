"""Fingerprints: what they see, and what they leave alone."""

import gc
import math
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import tensorcheck
from tensorcheck.fingerprints import Fingerprint
from tensorcheck.observe.fingerprinting import Fingerprints, Weights
from tests.comparing.runs import Net

WEIGHTS = Weights()


def fingerprint(tensor: Tensor) -> Fingerprint:
    step = Fingerprints(WEIGHTS)
    taken = step.of(step.take(tensor))
    assert taken is not None
    return taken


@given(st.lists(st.integers(-100, 100), min_size=32, max_size=40), st.data())
def test_two_values_that_changed_places_change_it(values: list[int], data: st.DataObject) -> None:
    one, other = data.draw(st.tuples(*[st.integers(0, len(values) - 1)] * 2))
    swapped = list(values)
    swapped[one], swapped[other] = values[other], values[one]
    before, after = (fingerprint(torch.tensor(each, dtype=torch.float64)) for each in (values, swapped))
    assert (before == after) == (values == swapped)


@pytest.mark.parametrize("size", [1, 3, 64, 1000, 1 << 16, 200_000])
def test_the_distance_of_two_tensors_is_told_from_what_is_left_of_them(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    tensor, change = torch.randn(2, size, generator=generator, dtype=torch.float64)
    told = fingerprint(tensor).distance(fingerprint(tensor + 1e-3 * change))
    assert told == pytest.approx(1e-3 * change.square().mean().sqrt().item(), rel=0.75)


@pytest.mark.parametrize("rows", [(0, 1), (0, 65)])
def test_rows_that_changed_places_are_seen_however_long_they_are(rows: Sequence[int]) -> None:
    tensor = torch.arange(66, dtype=torch.float32).repeat_interleave(1 << 16).view(66, -1)
    swapped = tensor.clone()
    swapped[[rows[0], rows[1]]] = tensor[[rows[1], rows[0]]]
    assert fingerprint(tensor).distance(fingerprint(swapped)) > 0


def test_what_the_numbers_are_is_what_pytorch_says() -> None:
    tensor = torch.randn(70_000, generator=torch.Generator().manual_seed(0))
    told = fingerprint(tensor)
    assert told.norm == pytest.approx(tensor.double().norm().item())
    assert told.mean == pytest.approx(tensor.double().mean().item())
    assert (told.low, told.high, told.count) == (tensor.min().item(), tensor.max().item(), 70_000)


def test_nan_and_infinity_are_counted_and_leave_the_rest_readable() -> None:
    told = fingerprint(torch.tensor([3.0, math.nan, math.inf, -math.inf, 4.0]))
    assert (told.nan, told.inf, told.norm) == (1, 2, 5.0)


def test_the_order_in_memory_is_of_no_account() -> None:
    tensor = torch.rand(6, 5)
    assert fingerprint(tensor.T.contiguous()) == fingerprint(tensor.T)
    assert fingerprint(torch.ones(1).expand(9)) == fingerprint(torch.ones(9))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, device="meta"),
        torch.empty(0),
        torch.nn.UninitializedParameter(),
    ],
)
def test_a_tensor_without_values_has_none(tensor: Tensor) -> None:
    step = Fingerprints(WEIGHTS)
    assert step.of(step.take(tensor)) is None


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.complex64]
)
def test_every_dtype_has_one(dtype: torch.dtype) -> None:
    assert fingerprint(torch.ones(3).to(dtype)).high == 1


def test_no_tensor_is_kept_alive() -> None:
    step = Fingerprints(WEIGHTS)
    tensor = torch.rand(9)
    step.take(tensor)
    held = weakref.ref(tensor)
    del tensor
    gc.collect()
    assert held() is None


def test_a_mode_of_the_users_sees_nothing_of_it() -> None:
    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            heard.append(func)
            return func(*args, **(kwargs or {}))

    heard: list[object] = []

    def seen(*, asked: bool) -> int:
        heard.clear()
        model = nn.Linear(3, 2)
        with Counting(), tensorcheck.watch(model, fingerprint=asked):  # type: ignore[no-untyped-call] # torch's own
            model(torch.ones(4, 3)).sum().backward()
        return len(heard)

    assert seen(asked=True) == seen(asked=False)


@pytest.mark.parametrize("is_deterministic", [False, True])
def test_weights_losses_and_random_numbers_are_those_of_a_run_without(*, is_deterministic: bool) -> None:
    def trained(*, asked: bool | None) -> list[Tensor]:
        torch.manual_seed(3)
        model, losses = Net(), []
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        watching = None if asked is None else tensorcheck.watch(model, fingerprint=asked)
        for _ in range(5):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 12)).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        if watching is not None:
            assert any(value.fingerprint for value in watching.recorded.steps[0].values) is asked
            watching.close()
        return [*model.state_dict().values(), *losses, torch.get_rng_state()]

    torch.use_deterministic_algorithms(is_deterministic)
    try:
        bare, watched = trained(asked=None), trained(asked=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(one.equal(other) for one, other in zip(bare, watched, strict=True))
