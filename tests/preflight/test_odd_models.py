"""A preflight of models that do what most do not: it goes as far as it can, and says truly where it ended."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import tensorcheck

ROWS = torch.zeros(6, 4)


class Called(nn.Module):
    """A layer, and whatever is done with it."""

    def __init__(self, call: Callable[..., Tensor], layer: nn.Module | None = None) -> None:
        super().__init__()
        self.layer = layer or nn.Linear(4, 4)
        self.call = call

    def forward(self, *given: Tensor) -> Tensor:
        """Whatever is done with it."""
        return self.call(self.layer, *given)


class Tied(nn.Module):
    """One weight at both ends."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.out = nn.Linear(8, 20, bias=False)
        self.out.weight = self.words.weight

    def forward(self, words: Tensor) -> Tensor:
        """Scores of the next word."""
        return self.out(self.words(words)).flatten(0, 1)  # type: ignore[no-any-return]


class Clipped(torch.autograd.Function):
    """A function of somebody's own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        """Not below zero."""
        ctx.save_for_backward(rows)
        return rows.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Where it was above."""
        rows: Tensor = ctx.saved_tensors[0]
        return gradients[0] * (rows > 0)


def _clipped(layer: nn.Module, rows: Tensor) -> Tensor:
    result: Tensor = Clipped.apply(layer(rows))  # type: ignore[no-untyped-call]
    return result


def _autocast(layer: nn.Module, rows: Tensor) -> Tensor:
    with torch.autocast(rows.device.type if rows.device.type != "meta" else "cpu", dtype=torch.bfloat16):
        result: Tensor = layer(rows)
    return result


PASSING: dict[str, tuple[nn.Module, Any]] = {
    "tied": (Tied(), (torch.zeros(3, 2, dtype=torch.int64), torch.zeros(6, dtype=torch.int64))),
    "checkpointed": (Called(lambda layer, rows: checkpoint(layer, rows, use_reentrant=False)), (ROWS, ROWS)),
    "autocast": (Called(_autocast), (ROWS, ROWS)),
    "where": (Called(lambda layer, rows: torch.where(rows > 0, layer(rows), torch.zeros_like(rows))), (ROWS, ROWS)),
    "a function of one's own": (Called(_clipped), (ROWS, ROWS)),
    "several inputs": (Called(lambda layer, *rows: torch.stack([layer(each) for each in rows]).mean(0)), (ROWS,) * 3),
    "evaluated": (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval(), (ROWS, ROWS)),
    "parallel": (nn.DataParallel(nn.Linear(4, 4)), (ROWS, ROWS)),
    "double": (nn.Linear(4, 4).double(), (ROWS.double(), ROWS.double())),
}


@pytest.mark.parametrize("device", [None, "cuda"])
@pytest.mark.parametrize("name", PASSING)
def test_what_trains_passes(name: str, device: str | None) -> None:
    model, batch = PASSING[name]
    loss_fn = functional.cross_entropy if name == "tied" else functional.mse_loss

    report = tensorcheck.preflight(model, batch, loss_fn, torch.optim.AdamW, device=device)

    assert report.record.preflight is not None
    assert report.record.preflight.passed == ("forward", "loss", "backward", "optimizer step"), str(report)
    assert report.findings == ()


STOPPED: dict[str, tuple[nn.Module, str]] = {
    "a mask": (Called(lambda layer, rows: layer(rows[rows[:, 0] > 0])), "rows[rows[:, 0] > 0]"),
    "numpy": (Called(lambda layer, rows: layer(torch.from_numpy(rows.numpy()))), "rows.numpy()"),
    "item": (Called(lambda layer, rows: layer(rows) * rows.sum().item()), "rows.sum().item()"),
    "tolist": (Called(lambda layer, rows: layer(rows) * sum(rows[0].tolist())), "rows[0].tolist()"),
    "unique": (Called(lambda layer, rows: layer(rows) * len(rows.unique())), "rows.unique()"),
    "an if": (Called(lambda layer, rows: layer(rows) if rows.any() else rows), "layer(rows) if rows.any() else rows"),
}


@pytest.mark.parametrize("name", STOPPED)
def test_a_value_that_is_wanted_is_no_mistake(name: str) -> None:
    model, code = STOPPED[name]

    report = tensorcheck.preflight(model, (ROWS, ROWS), functional.mse_loss)

    assert report.record.preflight is not None
    assert report.record.preflight.failure == ""
    assert f"`{code}` needs a value" in report.record.preflight.stop
    assert report.findings == ()


@pytest.mark.parametrize("build", [torch.optim.LBFGS, torch.optim.Adafactor])
def test_an_optimizer_that_decides_by_values_ends_it(build: type[torch.optim.Optimizer]) -> None:
    report = tensorcheck.preflight(nn.Linear(4, 4), (ROWS, ROWS), functional.mse_loss, build)

    assert report.record.preflight is not None
    assert report.record.preflight.passed == ("forward", "loss", "backward")
    assert report.record.preflight.stop == f"it stopped, for {build.__name__}.step needs a value"


def test_a_model_that_is_frozen_whole_is_told() -> None:
    model = nn.Linear(4, 4).requires_grad_(False)

    report = tensorcheck.preflight(model, (ROWS, ROWS), functional.mse_loss, torch.optim.SGD)

    assert [finding.rule for finding in report.findings] == ["TCK403"]


def test_a_batch_of_one_in_training_mode_is_told() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))

    report = tensorcheck.preflight(model, (ROWS[:1], ROWS[:1]), functional.mse_loss)

    assert [finding.rule for finding in report.findings] == ["TCK210"]


def test_a_lazy_layer_is_not_called_healthy() -> None:
    report = tensorcheck.preflight(nn.LazyLinear(3), ROWS)

    assert report.record.preflight is not None
    assert report.record.preflight.stop.startswith("no step was made: it holds a UninitializedParameter")
    assert report.record.coverage.skipped[0].what == "preflight"
