"""Wider dtypes that nobody asked for, and those that somebody did."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding

PRICES = np.random.default_rng(0).random((8, 1))
Loss = Callable[[Tensor], Tensor]


class Scaled(nn.Module):
    """A layer and a parameter that multiplies what it gives."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.body = nn.Linear(4, 1)
        self.scale = nn.Parameter(scale)

    def forward(self, rows: Tensor) -> Tensor:
        made: Tensor = self.body(rows) * self.scale
        return made


def found(loss: Loss, model: nn.Module | None = None, dtype: torch.dtype = torch.float32) -> list[Finding]:
    """Train two steps with this loss."""
    model = model or nn.Linear(4, 1).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(2):
            optimizer.zero_grad()
            loss(model(torch.rand(8, 4, dtype=dtype))).backward()
            optimizer.step()
    return list(watch.findings)


def weighted(out: Tensor) -> Tensor:
    weights = torch.as_tensor(PRICES)
    return (out * weights).mean()


MISTAKES: dict[str, Loss] = {
    "target of NumPy": lambda out: functional.mse_loss(out, torch.from_numpy(PRICES)),
    "target made of NumPy": lambda out: functional.l1_loss(out, torch.tensor(PRICES)),
    "weights": weighted,
    "difference": lambda out: ((out - torch.from_numpy(PRICES).neg()) ** 2).mean(),
}


@pytest.mark.parametrize("loss", MISTAKES.values(), ids=MISTAKES)
def test_float64_that_nobody_asked_for_is_told_of(loss: Loss) -> None:
    (finding,) = found(loss)

    assert finding.rule == "TCK107"
    assert finding.site is not None
    assert finding.site.file.endswith("test_promotions.py")


def test_a_field_of_the_batch_is_told_of_where_it_meets_the_model() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(torch.rand(8, 4), torch.from_numpy(PRICES)), batch_size=4)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for rows, prices in loader:
            optimizer.zero_grad()
            functional.mse_loss(model(rows), prices).backward()
            optimizer.step()

    (finding,) = watch.findings
    assert (finding.rule, finding.help) == ("TCK107", "prices.float()")


def test_a_parameter_of_float64_is_told_of_by_its_name() -> None:
    (finding,) = found(Tensor.mean, Scaled(torch.from_numpy(np.ones(1))))
    assert (finding.rule, finding.headline) == ("TCK112", "parameter `scale` is float64 in a model of float32")


HEALTHY: dict[str, Loss] = {
    "float32": lambda out: functional.mse_loss(out, torch.from_numpy(PRICES).float()),
    "the loss cast": lambda out: functional.mse_loss(out.double(), torch.from_numpy(PRICES)),
    "the target cast": lambda out: functional.mse_loss(out, torch.rand(8, 1).double()),
    "asked for": lambda out: functional.mse_loss(out, torch.tensor(PRICES, dtype=torch.float64)),
    "a number": lambda out: (out * torch.tensor(PRICES[0, 0])).mean(),
    "summed up in double": lambda out: torch.zeros((), dtype=torch.float64) + out.mean(),
    "a metric": lambda out: out.mean() + 0 * float((out.detach() - torch.from_numpy(PRICES)).abs().mean()),
    "class numbers": lambda out: (out * torch.arange(8)[:, None]).mean(),
    "compared": lambda out: (out * (out > torch.from_numpy(PRICES))).mean(),
    "copied": lambda out: (out * torch.zeros(8, 1).copy_(torch.from_numpy(PRICES))).mean(),
}


@pytest.mark.parametrize("loss", HEALTHY.values(), ids=HEALTHY)
def test_float64_that_is_asked_for_or_stays_beside_is_silent(loss: Loss) -> None:
    assert found(loss) == []


def test_a_model_of_float64_is_silent() -> None:
    assert found(MISTAKES["target of NumPy"], dtype=torch.float64) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_parameter_of_less_than_float64_is_silent(dtype: torch.dtype) -> None:
    assert found(Tensor.mean, Scaled(torch.ones(1, dtype=dtype))) == []
