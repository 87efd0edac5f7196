"""What the best value so far begins with: what nothing can beat, and what is healthy."""

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.findings import Finding

Loop = Callable[[nn.Module, torch.optim.Optimizer], object]


def epoch_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    loss = torch.tensor(0.0)
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(torch.rand(8, 4)).square().mean()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def found(loop: Loop) -> Sequence[Finding]:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        loop(model, optimizer)
    return watch.findings


def loss_from_zero(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best_loss = 0.0
    for _ in range(4):
        val_loss = epoch_of(model, optimizer)
        if val_loss < best_loss:
            best_loss = val_loss
            copy.deepcopy(model.state_dict())


def accuracy_from_infinity(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best = float("inf")
    for _ in range(2):
        accuracy = 1 - epoch_of(model, optimizer)
        if accuracy > best:
            best = accuracy
            copy.deepcopy(model.state_dict())


class Stopper:
    """Keeps its best value as an attribute."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.best_loss = 0
        self.waited = 0
        for _ in range(4):
            loss = epoch_of(model, optimizer)
            if loss < self.best_loss:
                self.best_loss = loss  # type: ignore[assignment]  # as people write it
                self.waited = 0
            else:
                self.waited += 1


@pytest.mark.parametrize("loop", [loss_from_zero, accuracy_from_infinity, Stopper])
def test_a_start_that_nothing_beats_is_found_where_it_is_written(loop: Loop) -> None:
    (finding,) = found(loop)
    assert finding.rule == "TCK813"
    assert finding.site is not None
    assert "best" in finding.site.code
    assert "=" in finding.site.code


def loss_from_infinity(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best_loss = float("inf")
    for _ in range(4):
        val_loss = epoch_of(model, optimizer)
        if val_loss < best_loss:
            best_loss = val_loss
            copy.deepcopy(model.state_dict())


def accuracy_from_zero(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best_acc = 0.0
    for _ in range(4):
        acc = -epoch_of(model, optimizer)
        if acc > best_acc:
            best_acc = acc
            copy.deepcopy(model.state_dict())


def bound_from_zero(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best_nll = 0.0
    for _ in range(4):
        nll = -1 - epoch_of(model, optimizer)
        if nll < best_nll:
            best_nll = nll
            copy.deepcopy(model.state_dict())


def first_epoch_always(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best_loss = 0.0
    for epoch in range(4):
        val_loss = epoch_of(model, optimizer)
        if epoch == 0 or val_loss < best_loss:
            best_loss = val_loss
            copy.deepcopy(model.state_dict())


def set_after_the_first(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best_loss = 0.0
    for epoch in range(4):
        val_loss = epoch_of(model, optimizer)
        if not epoch:
            best_loss = val_loss + 1
        if val_loss < best_loss:
            best_loss = val_loss
            copy.deepcopy(model.state_dict())


def first_score_always(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best = float("inf")
    for epoch in range(2):
        accuracy = 1 - epoch_of(model, optimizer)
        if epoch == 0 or accuracy > best:
            best = accuracy
            copy.deepcopy(model.state_dict())


def endless_until_the_first(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best = float("inf")
    for epoch in range(2):
        accuracy = 1 - epoch_of(model, optimizer)
        if not epoch:
            best = accuracy - 1
        if accuracy > best:
            best = accuracy
            copy.deepcopy(model.state_dict())


def error_that_comes_to_zero(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    best_error = 1.0
    for epoch in range(4):
        error = float(epoch_of(model, optimizer) > 0 and epoch > 0)
        if error < best_error:
            best_error = error
            copy.deepcopy(model.state_dict())


@pytest.mark.parametrize(
    "loop",
    [
        loss_from_infinity,
        accuracy_from_zero,
        bound_from_zero,
        first_epoch_always,
        set_after_the_first,
        first_score_always,
        endless_until_the_first,
        error_that_comes_to_zero,
    ],
)
def test_a_start_that_can_be_beaten_is_silent(loop: Loop) -> None:
    assert not found(loop)


def test_the_wrong_way_round_is_told_once() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        best_loss = float("inf")
        for _ in range(2):
            val_loss = epoch_of(model, optimizer)
            if val_loss > best_loss:
                best_loss = val_loss
                copy.deepcopy(model.state_dict())

    assert [finding.rule for finding in found(loop)] == ["TCK516"]
