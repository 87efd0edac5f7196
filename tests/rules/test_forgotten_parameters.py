"""Parameters that get gradients and do not move: forgotten by the optimizer, updated by hand, or those of a copy."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding

Update = Callable[[nn.Parameter], object]


class _Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(6, 4))
        self.deep = nn.Linear(4, 1)

    def forward(self, rows: Tensor) -> Tensor:
        scores: Tensor = self.deep(self.table[rows])
        return scores


def found_with(update: Update, *, every: int = 1, steps: int = 6) -> list[str]:
    """What is found where the table is left to this update, each so many steps."""
    model = _Wide()
    optimizer = torch.optim.SGD(model.deep.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for step in range(steps):
            optimizer.zero_grad()
            model(torch.tensor([1, 2])).square().mean().backward()
            optimizer.step()
            if step % every == every - 1:
                update(model.table)
    return [finding.rule for finding in watch.findings]


@torch.no_grad()
def in_place(table: nn.Parameter) -> None:
    assert table.grad is not None
    table.sub_(0.1 * table.grad)
    table.grad = None


@torch.no_grad()
def by_copy(table: nn.Parameter) -> None:
    assert table.grad is not None
    table.copy_(table - 0.1 * table.grad)


def through_data(table: nn.Parameter) -> None:
    assert table.grad is not None
    table.data.add_(table.grad, alpha=-0.1)


def with_new_data(table: nn.Parameter) -> None:
    assert table.grad is not None
    table.data = table.data - 0.1 * table.grad


@pytest.mark.parametrize("update", [in_place, by_copy, through_data, with_new_data])
@pytest.mark.parametrize("every", [1, 2])
def test_parameters_that_are_updated_by_hand_are_silent(update: Update, every: int) -> None:
    assert found_with(update, every=every) == []


def test_an_update_by_hand_in_the_only_step_is_silent() -> None:
    assert found_with(through_data, steps=1) == []


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_parameters_that_nothing_moves_are_found(steps: int) -> None:
    assert found_with(lambda _: None, steps=steps) == ["TCK402"]


def test_a_run_that_breaks_off_before_the_update_by_hand_is_silent() -> None:
    model = _Wide()
    optimizer = torch.optim.SGD(model.deep.parameters(), lr=0.01)
    with pytest.raises(KeyboardInterrupt), tensorcheck.watch(model) as watch:
        model(torch.tensor([1, 2])).square().mean().backward()
        optimizer.step()
        raise KeyboardInterrupt
    assert not watch.findings


def test_parameters_that_join_the_optimizer_after_its_first_step_are_silent() -> None:
    model = _Wide()
    optimizer = torch.optim.SGD(model.deep.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for step in range(4):
            optimizer.zero_grad()
            model(torch.tensor([1, 2])).square().mean().backward()
            optimizer.step()
            if step == 0:
                optimizer.add_param_group({"params": [model.table]})
    assert not watch.findings


def trained_with(
    held: nn.Module, trained: nn.Module, watched: nn.Module, between: Callable[[], object]
) -> list[Finding]:
    """What is found where one module is trained and the optimizer holds another."""
    optimizer = torch.optim.SGD(held.parameters(), lr=0.01)
    with tensorcheck.watch(watched, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            trained(torch.rand(8, 4)).square().mean().backward()
            between()
            optimizer.step()
    return list(watch.findings)


@pytest.mark.parametrize("is_copy_watched", [True, False])
def test_a_copy_that_is_trained_in_place_of_the_original_is_found(is_copy_watched: bool) -> None:  # noqa: FBT001 - a case
    model = nn.Linear(4, 1)
    twin = copy.deepcopy(model)
    (finding,) = trained_with(model, twin, twin if is_copy_watched else model, lambda: None)
    name = "watched" if is_copy_watched else "trained"
    assert finding.headline == f"`{name}` gets gradients, but `SGD` holds another module's parameters"


def test_an_inner_copy_whose_gradients_are_handed_on_is_silent() -> None:
    model = nn.Linear(4, 1)
    inner = copy.deepcopy(model)

    def hand_on() -> None:
        for outer, each in zip(model.parameters(), inner.parameters(), strict=True):
            outer.grad = each.grad

    assert trained_with(model, inner, model, hand_on) == []


def test_a_copy_that_is_updated_by_hand_is_silent() -> None:
    model = nn.Linear(4, 1)
    inner = copy.deepcopy(model)

    def move() -> None:
        for each in inner.parameters():
            assert each.grad is not None
            each.data.sub_(each.grad)

    assert trained_with(model, inner, model, move) == []
