"""Logarithms of what a softmax or a sigmoid made, and the guarded and exact forms of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.findings import Finding

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
HOT = functional.one_hot(LABELS).float()
Loss = Callable[[Tensor], Tensor]


def trained(loss_of: Loss) -> list[Finding]:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model(torch.rand(8, 4))).backward()
            optimizer.step()
    return [finding for finding in watch.findings if finding.rule == "TCK604"]


def entropy(out: Tensor) -> Tensor:
    chances: Tensor = nn.Softmax(dim=1)(out)
    return -(chances * chances.log()).sum(1).mean()


def binary(out: Tensor) -> Tensor:
    chance = torch.sigmoid(out)
    return -(HOT * torch.log(chance) + (1 - HOT) * torch.log(1 - chance)).mean()


@pytest.mark.parametrize(
    "loss_of",
    [
        entropy,
        binary,
        lambda out: functional.nll_loss(torch.log(functional.softmax(out, dim=1)), LABELS),
        lambda out: -out.softmax(1)[torch.arange(8), LABELS].log().mean(),
        lambda out: -out.softmax(1).gather(1, LABELS[:, None]).squeeze(1).log().mean(),
        lambda out: -out.sigmoid().log2().mean(),
    ],
)
def test_a_logarithm_of_a_softmax_is_found_once(loss_of: Loss) -> None:
    assert len(trained(loss_of)) == 1


def metric(out: Tensor) -> Tensor:
    with torch.no_grad():
        assert out.softmax(1).log().isfinite().all()
    return functional.cross_entropy(out, LABELS)


@pytest.mark.parametrize(
    "loss_of",
    [
        metric,
        lambda out: -out.log_softmax(1)[torch.arange(8), LABELS].mean(),
        lambda out: -torch.log(out.softmax(1) + 1e-8).mean(),
        lambda out: -torch.log(out.softmax(1).clamp(min=1e-8)).mean(),
        lambda out: -functional.logsigmoid(out).mean(),
        lambda out: torch.log(functional.softplus(out)).square().mean(),
        lambda out: -torch.distributions.Categorical(logits=out).log_prob(LABELS).mean(),
        lambda out: -torch.distributions.Categorical(probs=out.softmax(1)).log_prob(LABELS).mean(),
        lambda out: functional.binary_cross_entropy(out.sigmoid(), HOT),
        lambda out: -torch.log(out.softmax(1).mean(0)).mean(),
        lambda out: torch.log1p(out.sigmoid()).mean(),
    ],
)
def test_guarded_and_exact_logarithms_are_silent(loss_of: Loss) -> None:
    assert not trained(loss_of)
