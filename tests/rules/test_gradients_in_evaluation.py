"""Evaluation with gradients tracked: for nothing, or on purpose."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck

Evaluate = Callable[[nn.Module], object]


def codes_of(evaluate: Evaluate, *, epochs: int = 2) -> list[str]:
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(epochs):
            model.train()
            for _ in range(3):
                optimizer.zero_grad()
                model(torch.rand(8, 4)).square().mean().backward()
                optimizer.step()
            model.eval()
            evaluate(model)
    return [finding.rule for finding in watch.findings]


def _plain(model: nn.Module) -> None:
    for batch in torch.rand(4, 8, 4):
        model(batch).argmax(1)


def test_an_evaluation_between_two_epochs_is_told_once() -> None:
    assert codes_of(_plain) == ["TCK429"]


def test_an_evaluation_at_the_end_is_told() -> None:
    assert codes_of(_plain, epochs=1) == ["TCK429"]


def _saliency(model: nn.Module) -> None:
    for batch in torch.rand(4, 8, 4):
        batch.requires_grad_()
        model(batch).sum().backward()


def _gradients_given_away(model: nn.Module) -> None:
    for batch in torch.rand(4, 8, 4):
        torch.autograd.grad(model(batch.requires_grad_()).sum(), batch)


def _one_look(model: nn.Module) -> None:
    model(torch.rand(8, 4))


def _kept_for_one_loss(model: nn.Module) -> None:
    outputs: list[Tensor] = [model(batch) for batch in torch.rand(4, 8, 4)]
    torch.stack(outputs).mean().backward()


def _transformed(model: nn.Module) -> None:
    weights: dict[str, Tensor] = dict(model.named_parameters())

    def loss(values: dict[str, Tensor], batch: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(model, values, (batch,))
        return output.mean()

    for batch in torch.rand(4, 8, 4):
        torch.func.grad(loss)(weights, batch)


@torch.no_grad()
def _without(model: nn.Module) -> None:
    _plain(model)


@pytest.mark.parametrize(
    "evaluate", [_saliency, _gradients_given_away, _one_look, _kept_for_one_loss, _transformed, _without]
)
def test_gradients_that_are_used_or_off_are_silent(evaluate: Evaluate) -> None:
    assert codes_of(evaluate) == []
