"""Divisions by zero and logarithms of it, before the model; and healthy ones."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.findings import Finding, Severity

TABLE = torch.rand(8, 4)
TABLE[:, 2] = 0.1
COUNTS = torch.tensor([0.0, 1.0, 2.0, 3.0])


def found(made: Callable[[Tensor], Tensor], *, steps: int = 1) -> list[Finding]:
    """Train on what this makes of a table of which one column does not change."""
    torch.manual_seed(0)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            model(made(TABLE)).square().mean().backward()
            optimizer.step()
    return list(watch.findings)


def behind(made: Callable[[Tensor], Tensor]) -> list[Finding]:
    """Train on what this makes of a model's output, which is positive and for one sample nearly zero."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-30)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        optimizer.zero_grad()
        out = torch.cat([model(TABLE).abs(), model(TABLE[:1]).abs() * 1e-25])
        made(out).mean().backward()
        optimizer.step()
    return [finding for finding in watch.findings if finding.rule in ("TCK601", "TCK602", "TCK603")]


LOST: list[Callable[[Tensor], Tensor]] = [
    lambda table: (table - table.mean(0)) / (table.amax(0) - table.amin(0)),
    lambda table: table * COUNTS.reciprocal(),
    lambda table: table * torch.log(COUNTS),
    lambda table: torch.div(table, COUNTS),
    lambda table: table / table[:1].std(0),
    lambda table: 1 / (table - 0.1),
]


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize("made", LOST)
def test_what_loses_the_loss_before_the_model_is_an_error_at_its_line(made: Callable[[Tensor], Tensor]) -> None:
    (finding,) = found(made)

    assert (finding.rule, finding.severity) == ("TCK603", Severity.ERROR)
    assert finding.site is not None
    assert finding.site.file.endswith("test_unguarded_zeros.py")


def test_a_column_that_is_constant_but_for_rounding_is_found() -> None:
    def made(table: Tensor) -> Tensor:
        spread = torch.tensor([0.2, 0.3, 1e-14, 0.2])
        return (table - 0.05) / spread

    (finding,) = [each for each in found(made, steps=3) if each.rule == "TCK603"]
    assert finding.severity is Severity.WARNING


def test_a_logarithm_of_nearly_nothing_is_found() -> None:
    assert [finding.rule for finding in behind(lambda out: torch.log(out))] == ["TCK603"]  # noqa: PLW0108 - our line


@pytest.mark.parametrize(
    "made",
    [
        lambda out: torch.log(out + 1e-8),
        lambda out: torch.log(out.clamp(min=1e-12)),
        torch.log1p,
        lambda out: out / (out.sum() + 1e-8),
        lambda out: functional.normalize(out, dim=0),
        lambda out: torch.log(out.detach()) * 0 + out,
    ],
)
def test_guarded_ones_behind_the_model_are_silent(made: Callable[[Tensor], Tensor]) -> None:
    assert not behind(made)


def inverse_degrees(table: Tensor) -> Tensor:
    inverse = COUNTS.pow(-1)
    inverse = 1 / COUNTS
    inverse[inverse == torch.inf] = 0
    return table * inverse


HEALTHY: dict[str, Callable[[Tensor], Tensor]] = {
    "guarded": lambda table: (table - table.mean(0)) / (table.std(0) + 1e-6),
    "guarded by the least number": lambda table: (table - table.mean(0)) / (table.std(0) + 1e-8),
    "clamped": lambda table: (table - table.mean(0)) / table.std(0).clamp(min=1e-8),
    "inverse degrees": inverse_degrees,
    "chosen by where": lambda table: table * torch.where(COUNTS > 0, 1 / COUNTS, 0.0),
    "infinities replaced": lambda table: torch.nan_to_num(table / COUNTS, posinf=0.0),
    "mask by logarithm": lambda table: (table + torch.log((COUNTS > 0).float())).softmax(1),
    "ordinary": lambda table: table / 255,
    "bytes": lambda table: (table * 255).byte() / 255,
    "normalised": lambda table: functional.normalize(table, dim=1),
    "mean of a mask": lambda table: table * (COUNTS > 0) / (COUNTS > 0).sum(),
    "small by nature": lambda table: table * 1e-9 / torch.full((4,), 1e-15) * 1e-6,
    "large numbers divided": lambda table: (table * 1e9) / 1e8,
}


@pytest.mark.parametrize("made", HEALTHY.values(), ids=HEALTHY)
def test_ordinary_divisions_are_silent(made: Callable[[Tensor], Tensor]) -> None:
    assert not [finding for finding in found(made, steps=3) if finding.rule == "TCK603"]


def test_an_infinity_with_a_gradient_is_told_of_once_by_the_rule_of_the_first_nan() -> None:
    def lost(out: Tensor) -> Tensor:
        return torch.log(out * 0) + out

    assert [finding.rule for finding in behind(lost)] == ["TCK601"]
