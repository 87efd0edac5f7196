"""Real numbers compared for equality, where they are never equal and where they may be."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding

Compare = Callable[[Tensor, Tensor], object]
LABELS = torch.tensor([0.0, 1.0] * 8).view(16, 1)


def found(compare: Compare, targets: Tensor = LABELS, *, evaluates: bool = False) -> list[Finding]:
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            out = model(torch.rand(16, 4))
            nn.functional.mse_loss(out, LABELS).backward()
            optimizer.step()
            if not evaluates:
                compare(out, targets)
        model.eval()
        with torch.no_grad():
            out = model(torch.rand(16, 4))
            if evaluates:
                compare(out, targets)
    return [finding for finding in watch.findings if finding.rule == "TCK118"]


MISTAKES: dict[str, Compare] = {
    "==": lambda out, targets: (out == targets).float().mean(),
    "!=": lambda out, targets: (out != targets).float().mean(),
    "eq": lambda out, targets: torch.eq(out, targets).sum(),
    "method": lambda out, targets: out.eq(targets).sum(),
    "the other way around": lambda out, targets: (targets == out).sum(),
    "squeezed and detached": lambda out, targets: (out.detach().squeeze(1) == targets.squeeze(1)).sum(),
    "labels that are integers": lambda out, targets: (out == targets.long()).sum(),
    "numbers of a regression": lambda out, targets: (out * 3 == targets + 0.25).sum(),
}


@pytest.mark.parametrize("compare", MISTAKES.values(), ids=MISTAKES)
def test_numbers_that_are_never_equal_are_found_at_the_comparison(compare: Compare) -> None:
    (finding,) = found(compare)

    assert finding.site is not None
    assert finding.site.file.endswith("test_float_equality.py")


def test_an_evaluation_is_looked_at_too() -> None:
    assert len(found(MISTAKES["=="], evaluates=True)) == 1


HEALTHY: dict[str, Compare] = {
    "rounded": lambda out, targets: (out.round() == targets).sum(),
    "thresholded": lambda out, targets: ((out > 0.5).float() == targets).sum(),
    "thresholded the other way": lambda out, targets: ((out > 2).float() == targets + 1).sum(),
    "its own maximum": lambda out, targets: (out == out.max().expand(16, 1)).sum(),
    "its own second": lambda out, targets: (out == out.sort(0).values.flip(0)).sum(),
    "zero": lambda out, targets: (out == 0).sum(),
    "zeros": lambda out, targets: (out == torch.zeros(16, 1)).sum(),
    "infinity": lambda out, targets: (out == torch.inf).sum(),
    "itself": lambda out, targets: (out != out).sum(),  # noqa: PLR0124 - a test for NaN
    "labels with labels": lambda out, targets: (targets + 0.25 == targets.flip(0)).sum(),
    "close": lambda out, targets: torch.isclose(out, targets).sum(),
    "the highest class": lambda out, targets: (out.argmax(1) == targets.squeeze(1).long()).sum(),
    "whole tensors": torch.equal,
    "an order": lambda out, targets: (out <= targets).sum(),
}


@pytest.mark.parametrize("compare", HEALTHY.values(), ids=HEALTHY)
def test_what_may_be_equal_is_silent(compare: Compare) -> None:
    assert not found(compare)
