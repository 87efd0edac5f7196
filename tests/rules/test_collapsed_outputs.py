"""Outputs that cease to depend on the input in the course of training; and those that do not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding


class Spoiled(nn.Module):
    """Returns something else from a step on."""

    def __init__(self, late: Callable[[Tensor], Tensor], since: int = 7) -> None:
        super().__init__()
        self.body = nn.Linear(4, 2)
        self.late, self.since = late, since
        self.calls = 0

    def forward(self, rows: Tensor) -> Tensor:
        self.calls += 1
        out: Tensor = self.body(rows)
        return self.late(out) if self.calls > self.since else out


def found(
    model: nn.Module, batch: Callable[[], Tensor] = lambda: torch.rand(8, 4), *, steps: int = 40
) -> list[Finding]:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            (model(batch()) - 0.5).square().mean().backward()
            optimizer.step()
    return [finding for finding in watch.findings if finding.rule in ("TCK519", "TCK610")]


def test_an_output_that_collapses_is_found_once_with_the_steps() -> None:
    (finding,) = found(Spoiled(lambda out: out * 1e-12 + 0.3))

    assert finding.rule == "TCK610"
    assert "in steps 16 and 24; they differed in step 0" in finding.got


def test_an_output_that_was_never_other_is_told_of_by_one_rule() -> None:
    assert [finding.rule for finding in found(Spoiled(lambda out: out * 1e-12 + 0.3, since=0))] == ["TCK519"]


HEALTHY: dict[str, Callable[[Tensor], Tensor]] = {
    "as before": lambda out: out,
    "hardly different": lambda out: out * 1e-4 + 0.3,
    "sure of one answer": lambda out: (out * 1e-9 + torch.tensor([40.0, -40.0])).softmax(1),
    "a chance of one": lambda out: (out * 1e-9 + 40).sigmoid(),
    "zero": lambda out: out * 0,
}


@pytest.mark.parametrize("late", HEALTHY.values(), ids=HEALTHY)
def test_outputs_that_are_meant_are_silent(late: Callable[[Tensor], Tensor]) -> None:
    assert not found(Spoiled(late))


def test_a_single_look_is_not_enough() -> None:
    assert not found(Spoiled(lambda out: out * 1e-12 + 0.3), steps=20)


def test_samples_that_are_all_alike_are_silent() -> None:
    assert not found(Spoiled(lambda out: out), lambda: torch.ones(8, 4))


def test_a_part_that_still_varies_is_silent() -> None:
    assert not found(Spoiled(lambda out: torch.stack([out[:, 0], out[:, 1] * 0 + 0.3], 1)))
