"""`watch.broadcasts`, `watch.casts` and `watch.step`: what a traced step did without being asked, and what was seen."""

import warnings
from itertools import combinations_with_replacement

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.broadcasting import common_shape
from tensorcheck.elementwise import promoted, spelled_operands
from tensorcheck.tensors import TensorMeta
from tensorcheck.watching import Watch


class Scaled(nn.Module):
    """Broadcasts in its forward, by a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("scale", torch.ones(3))

    def forward(self, rows: Tensor) -> Tensor:
        return self.fc(rows) * self.scale  # type: ignore[no-any-return] # as torch has it


def trained(watch: Watch, model: nn.Module, steps: int) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.l1_loss(model(torch.ones(8, 4)), torch.ones(8, 3)).backward()
        optimizer.step()
    assert watch.findings == ()


def test_a_broadcast_is_told_with_its_line_shapes_and_module() -> None:
    model = Scaled()
    with tensorcheck.watch(model) as watch:
        model(torch.ones(8, 4))
    (row,) = watch.broadcasts().rows
    assert (row.result, row.count, row.kind) == ((8, 3), 1, "Scaled")
    assert [str(operand) for operand in row.operands] == [
        "self.fc(rows): float32[8, 3] cpu, grad",
        "self.scale: float32[3] cpu",
    ]
    assert row.site is not None
    assert row.site.code == "self.fc(rows) * self.scale"
    assert "float32[8, 3], float32[3]  [8, 3]" in str(watch.broadcasts())


def test_equal_shapes_and_numbers_are_no_broadcasts() -> None:
    with tensorcheck.watch(nn.Linear(1, 1)) as watch:
        ones = torch.ones(8, 3)
        _ = ones + ones, ones * 2.0, ones * torch.tensor(2.0), ones @ torch.ones(3, 3), ones.sum(0)
    assert watch.broadcasts().rows == ()
    assert str(watch.broadcasts()) == "step 0: no operation broadcast its operands"


def test_every_way_to_broadcast_is_seen() -> None:
    with tensorcheck.watch(nn.Linear(1, 1)) as watch:
        column, row, pairs = torch.ones(2, 1), torch.ones(2), torch.ones(2, 2)
        _ = column - row, column / row, column == row, torch.maximum(column, row), torch.where(column > 0, row, pairs)
        pairs += row
        pairs.copy_(row)
        row.__rsub__(column)
    expected = ["sub", "div", "__eq__", "maximum", "where", "add_", "copy_", "__rsub__"]
    assert [each.operation for each in watch.broadcasts().rows] == expected


def test_a_loss_that_broadcasts_is_told_with_the_shape_of_the_pairs() -> None:
    model = nn.Linear(4, 1)
    with warnings.catch_warnings(action="ignore"), tensorcheck.watch(model, on_finding=lambda _: None) as watch:
        functional.mse_loss(model(torch.ones(8, 4)), torch.ones(8))
    assert [row.result for row in watch.broadcasts().rows] == [(8, 8)]


def test_the_same_line_is_told_once_with_its_count() -> None:
    with tensorcheck.watch(nn.Linear(1, 1)) as watch:
        for _ in range(5):
            _ = torch.ones(2, 1) + torch.ones(2)
    assert [row.count for row in watch.broadcasts().rows] == [5]


def test_a_promotion_is_told_with_the_operand_and_what_it_became() -> None:
    with tensorcheck.watch(nn.Linear(1, 1)) as watch:
        rows, scale = torch.ones(8), torch.ones(8, dtype=torch.float64)
        _ = rows * scale
    (row,) = watch.casts().rows
    assert (str(row.operand), row.dtype) == ("rows: float32[8] cpu", "float64")
    assert "rows * scale" in str(watch.casts())


def test_every_way_to_promote_is_seen() -> None:
    with tensorcheck.watch(nn.Linear(1, 1)) as watch:
        whole, real, wide = torch.ones(2, dtype=torch.int64), torch.ones(2), torch.ones(2, dtype=torch.float64)
        _ = (
            whole * 0.5,
            whole / 2,
            whole < real,
            whole.exp(),
            torch.cat([real, wide]),
            torch.where(whole > 0, real, wide),
        )
        real += wide
    told = [(row.operation, row.operand.meta.dtype, row.dtype) for row in watch.casts().rows]
    assert told == [
        ("mul", "int64", "float32"),
        ("div", "int64", "float32"),
        ("lt", "int64", "float32"),
        ("exp", "int64", "float32"),
        ("cat", "float32", "float64"),
        ("where", "float32", "float64"),
        ("add_", "float64", "float32"),
    ]


def test_casts_that_were_asked_for_are_none() -> None:
    with tensorcheck.watch(nn.Linear(1, 1)) as watch:
        whole = torch.ones(2, dtype=torch.int64)
        _ = (
            whole.float() * 2,
            whole.double(),
            whole.to(torch.half),
            (whole == 1).sum(),
            torch.ones(2) * torch.tensor(1.0, dtype=torch.float64),
            torch.ones(2) * torch.tensor(1.0),
        )
    assert watch.casts().rows == ()
    assert str(watch.casts()) == "step 0: no operand was promoted to another dtype"


def test_a_traced_step_is_kept_with_its_losses() -> None:
    model = Scaled()
    with tensorcheck.watch(model) as watch:
        trained(watch, model, 5)
    for step in range(3):
        seen = watch.step(step)
        assert seen.trace is not None
        assert (seen.trace.step, [loss.name for loss in seen.losses]) == (step, ["l1_loss"])
    assert "loss: l1_loss" in str(watch.step(1))
    assert "float32[8, 3], float32[8, 3] -> float32[]" in str(watch.step(1))


def test_a_step_that_was_not_traced_is_a_lookup_error_that_names_those_that_were() -> None:
    model = Scaled()
    with tensorcheck.watch(model) as watch:
        trained(watch, model, 5)
    with pytest.raises(LookupError, match=r"step 4 was not traced .*; traced were the steps 0, 1 and 2"):
        watch.step(4)


def test_nothing_traced_is_a_lookup_error_too() -> None:
    with tensorcheck.watch(nn.Linear(1, 1)) as watch:
        pass
    with pytest.raises(LookupError, match="no step was traced"):
        watch.step(0)


def test_what_was_first_found_in_a_step_is_told_with_it() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with warnings.catch_warnings(action="ignore"), tensorcheck.watch(model, on_finding=lambda _: None) as watch:
        for step in range(6):
            target = torch.ones(8) if step == 4 else torch.ones(8, 1)
            optimizer.zero_grad()
            functional.mse_loss(model(torch.ones(8, 4)), target).backward()
            optimizer.step()
    assert [finding.rule for finding in watch.step(4).findings] == ["TCK202"]
    assert "step 4" in str(watch.step(4))
    assert watch.step(1).findings == ()


def test_only_the_last_few_traced_steps_are_kept() -> None:
    with tensorcheck.watch(nn.Linear(1, 1)) as watch:
        recorder = watch._session.tracing.recorder
        for step in range(40):
            recorder.begin_step(step)
            torch.ones(2)
    assert len(recorder.traces(watch._session.sites)) == 9


@given(st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=3))
def test_the_common_shape_is_that_of_pytorch(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected: tuple[int, ...] | None = tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        expected = None
    assert common_shape(shapes) == expected


KINDS = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64")


@pytest.mark.parametrize("numbers", [(False, False), (True, False), (False, True), (True, True)])
def test_the_promoted_dtype_is_that_of_pytorch(numbers: tuple[bool, bool]) -> None:
    for names in combinations_with_replacement((*KINDS, "complex128"), 2):
        pair = list(zip(names, numbers, strict=True))
        tensors = [torch.ones(() if number else (2,), dtype=getattr(torch, name)) for name, number in pair]
        metas = [TensorMeta(tuple(tensor.shape), name, "cpu") for tensor, name in zip(tensors, names, strict=True)]
        assert f"torch.{promoted(metas)}" == str(torch.result_type(*tensors)), pair


@given(st.text(max_size=30))
def test_no_source_line_breaks_the_spelling(code: str) -> None:
    assert len(spelled_operands(code, 2)) in (0, 2)
