"""Targets that a loss takes for something else, and those that look like it and are meant."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.findings import Finding, Severity

ROWS = torch.rand(16, 4)
HALVES = torch.tensor([[0.0], [1.0]] * 8)
ONE_HOT = torch.eye(4).repeat(4, 1)
Loss = Callable[[Tensor], Tensor]


def found(outputs: int, loss: Loss) -> list[Finding]:
    """Train one step with this loss."""
    model = nn.Linear(4, outputs)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        loss(model(ROWS)).backward()
        optimizer.step()
    return list(watch.findings)


MISTAKES: list[tuple[int, Loss, str]] = [
    (1, lambda out: functional.binary_cross_entropy_with_logits(out, HALVES * 255), "from 0 to 255"),
    (1, lambda out: nn.BCEWithLogitsLoss()(out, HALVES * 2 - 1), "from -1 to 1"),
    (1, lambda out: nn.BCEWithLogitsLoss()(out, HALVES + 1), "from 1 to 2"),
    (1, lambda out: nn.SoftMarginLoss()(out, HALVES), "of 0 and 1"),
    (1, lambda out: functional.cross_entropy(out.squeeze(1), HALVES.squeeze(1)), "one sample of 16 classes"),
    (4, lambda out: nn.CrossEntropyLoss()(out, (ONE_HOT + ONE_HOT.roll(1, 1))), "several classes"),
    (4, lambda out: nn.CrossEntropyLoss()(out, torch.arange(64).view(16, 4).float()), "class numbers"),
]


@pytest.mark.parametrize(("outputs", "loss", "said"), MISTAKES, ids=[said for _, _, said in MISTAKES])
def test_a_target_that_the_loss_misreads_is_told_of(outputs: int, loss: Loss, said: str) -> None:
    (finding,) = found(outputs, loss)

    assert (finding.rule, finding.severity) == ("TCK113", Severity.WARNING)
    assert said in finding.headline
    assert finding.site is not None
    assert finding.site.file.endswith("test_misread_targets.py")


HEALTHY: dict[str, tuple[int, Loss]] = {
    "one hot": (4, lambda out: functional.cross_entropy(out, ONE_HOT)),
    "smoothed": (4, lambda out: functional.cross_entropy(out, ONE_HOT * 0.9 + 0.025)),
    "mixed up": (4, lambda out: functional.cross_entropy(out, (ONE_HOT + ONE_HOT.flip(0)) / 2)),
    "weighted by an advantage": (4, lambda out: functional.cross_entropy(out, ONE_HOT * 7)),
    "rows left out": (4, lambda out: functional.cross_entropy(out, ONE_HOT * (torch.arange(16) < 9).float()[:, None])),
    "class numbers": (4, lambda out: functional.cross_entropy(out, torch.arange(16) % 4)),
    "smoothed beyond 1": (1, lambda out: functional.binary_cross_entropy_with_logits(out, HALVES * 0.5 + 0.7)),
    "several labels": (4, lambda out: nn.BCEWithLogitsLoss()(out, (ONE_HOT + ONE_HOT.roll(1, 1)))),
    "masked after": (
        1,
        lambda out: (nn.BCEWithLogitsLoss(reduction="none")(out, HALVES * 255) * (HALVES != 1)).mean(),
    ),
    "masked by a weight": (
        1,
        lambda out: functional.binary_cross_entropy_with_logits(out, HALVES * 255, weight=1 - HALVES),
    ),
    "signs": (1, lambda out: nn.SoftMarginLoss()(out, HALVES * 2 - 1)),
    "regression": (1, lambda out: functional.mse_loss(out, HALVES * 255)),
}


@pytest.mark.parametrize(("outputs", "loss"), HEALTHY.values(), ids=HEALTHY)
def test_a_target_that_the_loss_reads_as_it_is_meant_is_silent(outputs: int, loss: Loss) -> None:
    assert found(outputs, loss) == []
