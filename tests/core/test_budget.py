"""What watching costs, measured, and held to a share of the time."""

import time
from pathlib import Path

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.configuration import SettingsError, read_settings
from tensorcheck.observe.own_time import Budget, OwnTime
from tensorcheck.record import Coverage


class Hours:
    """Time that goes by when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def steps(model: nn.Module, count: int) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(count):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(torch.rand(8, 4)), torch.rand(8, 1)).backward()
        optimizer.step()


def coverage_of(count: int, *, budget: float | None = None) -> Coverage:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model, budget=budget) as watch:
        steps(model, count)
    return watch.report.record.coverage


def test_the_cost_is_the_part_of_the_time_that_was_ours() -> None:
    clock, hours = OwnTime(), Hours()
    budget = Budget(None, clock, hours)
    clock.seconds, hours.now = 1.0, 4.0
    assert budget.cost() == 0.25


def test_nothing_costs_more_than_the_whole_time() -> None:
    clock, hours = OwnTime(), Hours()
    budget = Budget(None, clock, hours)
    clock.seconds, hours.now = 9.0, 4.0
    assert budget.cost() == 1.0


def test_a_budget_allows_until_it_is_used_up_and_again_when_time_went_by() -> None:
    clock, hours = OwnTime(), Hours()
    budget = Budget(0.1, clock, hours)
    clock.seconds, hours.now = 1.0, 4.0
    assert not budget.allows()
    hours.now = 10.0
    assert budget.allows()


def test_what_comes_after_the_end_is_not_counted() -> None:
    clock, hours = OwnTime(), Hours()
    budget = Budget(None, clock, hours)
    clock.seconds, hours.now = 1.0, 4.0
    budget.end()
    clock.seconds, hours.now = 9.0, 10.0
    assert budget.cost() == 0.25


def test_time_within_time_is_counted_once() -> None:
    clock = OwnTime()
    with clock.running(), clock.running():
        time.sleep(0.02)
    assert 0.02 <= clock.seconds < 0.04


def test_who_sits_before_a_debugger_costs_nothing() -> None:
    clock = OwnTime()
    budget = Budget(None, clock)
    with clock.running(), clock.waiting():
        time.sleep(0.05)
    time.sleep(0.005)
    assert budget.cost() < 0.5


def test_a_report_says_what_watching_cost() -> None:
    cost = coverage_of(5).cost
    assert cost is not None
    assert 0 < cost <= 1


def test_without_a_step_there_is_no_time_that_watching_is_a_part_of() -> None:
    assert coverage_of(0).cost is None


def test_without_a_budget_three_steps_are_traced_and_nothing_is_skipped() -> None:
    coverage = coverage_of(5)
    assert (coverage.traced, coverage.skipped) == (3, ())


def test_a_small_budget_traces_one_step_and_says_what_was_left_out() -> None:
    coverage = coverage_of(5, budget=1e-6)
    assert coverage.traced == 1
    assert ("2 traced steps", "the budget of 0.0001% of the time was used up") in [
        (each.what, each.why) for each in coverage.skipped
    ]


def test_steps_that_were_put_off_are_traced_when_there_is_budget_again() -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model, budget=1e-6) as watch:
        steps(model, 2)
        watch._session.budget.share = 1.0
        steps(model, 5)
    coverage = watch.report.record.coverage
    assert coverage.traced == 3
    assert not any("traced" in each.what for each in coverage.skipped)


def test_a_question_that_there_was_no_budget_for_is_named() -> None:
    coverage = coverage_of(5, budget=1e-6)
    assert coverage.experiments == ()
    assert "batch-independence" in [each.what for each in coverage.skipped]


@pytest.mark.parametrize("budget", [0, -0.1, 2, float("nan"), True, "1%"])
def test_what_is_no_share_of_the_time_is_refused(budget: float) -> None:
    with pytest.raises(SettingsError, match="budget is the part of the time"):
        tensorcheck.watch(nn.Linear(4, 1), budget=budget)


def test_the_project_says_the_budget_where_no_flag_does(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.tensorcheck]\nbudget = 0.02\n", encoding="utf-8")
    assert read_settings(tmp_path).budget == 0.02
