from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, ExponentialLR, OneCycleLR, ReduceLROnPlateau

from tensorcheck.training import Callback, Schedule, TrainingError, classification_metrics
from tensorcheck.training.callbacks import StepReport
from tensorcheck.training.choices import SCHEDULES as NAMES
from tensorcheck.training.schedules import SCHEDULES, Plan, cosine_factor, make_schedule, warm_up_factor
from tests.training.setups import Setup

NewSetup = Callable[..., Setup]


def rates(name: str, plan: Plan, losses: list[float] | None = None) -> list[float]:
    """The learning rate of every step of a training."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9)
    schedules, seen = make_schedule(name, optimizer, plan), []
    for epoch in range(plan.epochs):
        for _ in range(plan.steps_an_epoch):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            for schedule in schedules:
                schedule.step_taken()
        for schedule in schedules:
            schedule.epoch_finished({"val_loss": losses[epoch] if losses else 1.0 / (epoch + 1)})
    return seen


def test_cosine_falls_from_the_learning_rate_towards_zero() -> None:
    seen = rates("cosine", Plan(epochs=4, steps_an_epoch=25))
    assert seen[0] == 1.0
    assert seen[50] == pytest.approx(0.5)
    assert seen[-1] < 0.001
    assert seen == sorted(seen, reverse=True)


def test_step_takes_a_tenth_after_each_third() -> None:
    assert rates("step", Plan(epochs=6, steps_an_epoch=1)) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_plateau_halves_only_where_the_loss_no_longer_falls() -> None:
    plan = Plan(epochs=8, steps_an_epoch=1)
    assert rates("plateau", plan) == [1.0] * 8
    assert rates("plateau", plan, losses=[1.0] * 8) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_one_cycle_rises_to_the_learning_rate_and_falls_below_its_start() -> None:
    seen = rates("one-cycle", Plan(epochs=10, steps_an_epoch=10))
    assert max(seen) == pytest.approx(1.0, abs=1e-3)
    assert 25 <= seen.index(max(seen)) <= 31
    assert seen[-1] < seen[0] < 0.1


@pytest.mark.parametrize("name", ["cosine", "step", "plateau", "none"])
def test_a_warm_up_rises_to_the_learning_rate_in_its_epochs(name: str) -> None:
    seen = rates(name, Plan(epochs=9, steps_an_epoch=10, warm_up_epochs=2))
    assert seen[:20] == pytest.approx([(step + 1) / 21 for step in range(20)])
    assert seen[20] == pytest.approx(1.0)


def test_the_warm_up_of_one_cycle_is_its_rising_part() -> None:
    seen = rates("one-cycle", Plan(epochs=10, steps_an_epoch=10, warm_up_epochs=2))
    assert 18 <= seen.index(max(seen)) <= 21


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan", [Plan(1, 1), Plan(1, 3), Plan(2, 1, 1), Plan(3, 1, 2)], ids=str)
def test_a_schedule_lasts_for_the_shortest_training(name: str, plan: Plan) -> None:
    assert all(0 <= rate <= 1 for rate in rates(name, plan))


@given(step=st.integers(0, 1000), total=st.integers(1, 1000), warm_up=st.integers(0, 1000))
def test_factors_stay_between_nothing_and_all(step: int, total: int, warm_up: int) -> None:
    assert 0 <= cosine_factor(step, total) <= 1
    assert 0 < warm_up_factor(step, warm_up) <= 1


def test_the_names_on_the_command_line_are_the_schedules_there_are() -> None:
    assert tuple(SCHEDULES) == NAMES


class Rates(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def step_taken(self, report: StepReport) -> None:
        self.seen.append(report.lr)


def fitted_rates(setup: Setup, schedule: object) -> list[float]:
    heard = Rates()
    setup.fit(epochs=2, scheduler=schedule, callbacks=[heard], metrics=classification_metrics(4))
    return heard.seen


def test_fit_steps_a_scheduler_of_epochs_once_an_epoch(setup: Setup) -> None:
    seen = fitted_rates(setup, ExponentialLR(setup.optimizer, 0.1))
    assert seen == pytest.approx([0.05] * 7 + [0.005] * 7)


def test_fit_steps_a_scheduler_of_steps_with_each_step(setup: Setup) -> None:
    scheduler = OneCycleLR(setup.optimizer, 0.1, total_steps=14)
    assert len(set(fitted_rates(setup, scheduler))) == 14


def test_a_schedule_says_itself_when_it_is_stepped(setup: Setup) -> None:
    seen = fitted_rates(setup, Schedule(ExponentialLR(setup.optimizer, 0.5), "step"))
    assert seen == pytest.approx([0.05 * 0.5**step for step in range(14)])


def test_accumulated_batches_count_as_one_step(setup: Setup) -> None:
    scheduler = ExponentialLR(setup.optimizer, 0.5)
    setup.fit(epochs=1, grad_accumulation=3, scheduler=Schedule(scheduler, "step"))
    assert scheduler.last_epoch == 3


def test_a_plateau_can_follow_a_metric(setup: Setup) -> None:
    scheduler = ReduceLROnPlateau(setup.optimizer, mode="max", patience=0, factor=0.1)
    setup.fit(epochs=3, scheduler=Schedule(scheduler, metric="val_accuracy"), metrics=classification_metrics(4))
    assert 0 < scheduler.best <= 1


def test_a_metric_that_is_not_measured_is_named(setup: Setup) -> None:
    scheduler = ReduceLROnPlateau(setup.optimizer)
    with pytest.raises(TrainingError, match="waits for the metric 'val_auc', but an epoch has train_loss, val_loss"):
        setup.fit(scheduler=Schedule(scheduler, metric="val_auc"))


def test_the_moment_follows_from_the_class_of_a_scheduler(setup: Setup) -> None:
    sgd = torch.optim.SGD(setup.model.parameters(), lr=0.1, momentum=0.9)
    assert Schedule.of(CyclicLR(sgd, 0.1, 0.2)).interval == "step"
    assert Schedule.of(ExponentialLR(sgd, 0.1)).interval == "epoch"
    assert Schedule.of(ReduceLROnPlateau(sgd)).metric == "val_loss"


def test_a_warm_up_that_leaves_no_time_to_train_is_refused(setup: Setup) -> None:
    with pytest.raises(TrainingError, match="a warm-up of 3 epochs leaves none of 3"):
        make_schedule("cosine", setup.optimizer, Plan(epochs=3, steps_an_epoch=1, warm_up_epochs=3))
