"""Learning rates and their schedules over a run: what is found, and what healthy schedules look like it."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding

Schedule = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]
EPOCHS = 4
BATCHES = 8


def batches() -> DataLoader[tuple[torch.Tensor, ...]]:
    return DataLoader(TensorDataset(torch.rand(BATCHES * 2, 4)), batch_size=2)


def step_on(model: nn.Module, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> None:
    optimizer.zero_grad()
    model(batch).square().mean().backward()
    optimizer.step()


def findings_per_batch(make: Schedule, *, lr: float = 0.1) -> tuple[Finding, ...]:
    model, loader = nn.Linear(4, 2), batches()
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        scheduler = make(optimizer)
        for _ in range(EPOCHS):
            for (batch,) in loader:
                step_on(model, optimizer, batch)
                scheduler.step()
    return watch.findings


def findings_per_epoch(make: Schedule, *, lr: float = 0.1) -> tuple[Finding, ...]:
    model, loader = nn.Linear(4, 2), batches()
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        scheduler = make(optimizer)
        for _ in range(EPOCHS):
            for (batch,) in loader:
                step_on(model, optimizer, batch)
            scheduler.step()
    return watch.findings


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS),
        lambda optimizer: lr_scheduler.PolynomialLR(optimizer, total_iters=EPOCHS),
        lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=EPOCHS),
        lambda optimizer: lr_scheduler.MultiStepLR(optimizer, milestones=[2, 3]),
        lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1),
        lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
    ],
    ids=["cosine", "polynomial", "linear", "multi-step", "step", "exponential"],
)
def test_a_schedule_for_epochs_that_is_stepped_after_each_batch_is_found(make: Schedule) -> None:
    findings = findings_per_batch(make)

    assert [finding.rule for finding in findings if finding.rule != "TCK508"] == ["TCK507"]
    assert findings[0].headline.endswith("is built for epochs and stepped after each batch")
    assert findings[0].site is not None
    assert findings[0].site.code == "scheduler.step()"


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS * BATCHES),
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * BATCHES),
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=EPOCHS, steps_per_epoch=BATCHES),
    ],
    ids=["cosine", "one cycle", "one cycle of epochs"],
)
def test_a_schedule_for_batches_that_is_stepped_after_each_epoch_is_found(make: Schedule) -> None:
    (finding,) = findings_per_epoch(make)

    assert finding.rule == "TCK507"
    assert finding.headline.endswith("is built for batches and stepped after each epoch")


def test_a_cycle_that_will_run_out_is_found_before_it_does() -> None:
    model, loader = nn.Linear(4, 2), batches()
    with (
        tensorcheck.watch(model, on_finding=list[Finding]().append) as watch,
        pytest.raises(ValueError, match="Tried to step"),
    ):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
        for _ in range(EPOCHS):
            for (batch,) in loader:
                step_on(model, optimizer, batch)
                scheduler.step()

    assert [finding.rule for finding in watch.findings] == ["TCK507", "TCK503"]
    assert watch.findings[0].headline == "`OneCycleLR` is built for 20 steps, and the loop takes 32"
    assert watch.findings[0].help == "total_steps=EPOCHS * len(loader)"


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * BATCHES),
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS * BATCHES),
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=10),
        lambda optimizer: lr_scheduler.LinearLR(optimizer, 0.1, total_iters=EPOCHS),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 5, 1.0)),
        lambda optimizer: lr_scheduler.CyclicLR(optimizer, 0.01, 0.1, step_size_up=4),
        lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=EPOCHS),
        lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma=0.99),
        lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=12),
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4), lr_scheduler.CosineAnnealingLR(optimizer, T_max=28)],
            milestones=[4],
        ),
        lambda optimizer: lr_scheduler.ChainedScheduler(
            [lr_scheduler.ConstantLR(optimizer, total_iters=4), lr_scheduler.ExponentialLR(optimizer, gamma=0.99)]
        ),
    ],
)
def test_schedules_for_batches_are_silent(make: Schedule) -> None:
    assert findings_per_batch(make) == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS),
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=2 * EPOCHS),
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS),
        lambda optimizer: lr_scheduler.MultiStepLR(optimizer, milestones=[2, 3]),
        lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=1),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: epoch / 3),
    ],
)
def test_schedules_for_epochs_are_silent(make: Schedule) -> None:
    assert findings_per_epoch(make) == ()


def test_a_schedule_that_sees_a_metric_is_silent() -> None:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        for _ in range(4):
            step_on(model, optimizer, torch.rand(8, 4))
            scheduler.step(1.0)

    assert watch.findings == ()


def test_a_schedule_whose_step_is_there_and_was_not_come_to_is_silent() -> None:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = lr_scheduler.StepLR(optimizer, step_size=1)
        for step in range(4):
            step_on(model, optimizer, torch.rand(8, 4))
            if step > 10:
                scheduler.step()

    assert watch.findings == ()


def steps_with(rate: float, kind: type[torch.optim.Optimizer]) -> list[str]:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        optimizer = kind(model.parameters(), lr=rate)  # type: ignore[call-arg]  # each kind of them has it
        for _ in range(12):
            step_on(model, optimizer, torch.rand(8, 4))
    return [finding.rule for finding in watch.findings]


@pytest.mark.parametrize(
    ("rate", "kind"),
    [
        (1.0, torch.optim.Adam),
        (3.0, torch.optim.AdamW),
        (1.0, torch.optim.RMSprop),
        (100.0, torch.optim.SGD),
        (0.0, torch.optim.SGD),
    ],
)
def test_an_absurd_learning_rate_is_found(rate: float, kind: type[torch.optim.Optimizer]) -> None:
    assert steps_with(rate, kind) == ["TCK508"]


@pytest.mark.parametrize(
    ("rate", "kind"),
    [
        (0.1, torch.optim.Adam),
        (10.0, torch.optim.SGD),
        (1.0, torch.optim.Adadelta),
        (1.0, torch.optim.Rprop),
        (1.0, torch.optim.Adagrad),
        (1e-12, torch.optim.SGD),
    ],
)
def test_a_learning_rate_that_works_for_somebody_is_silent(rate: float, kind: type[torch.optim.Optimizer]) -> None:
    assert steps_with(rate, kind) == []


def test_a_search_for_a_learning_rate_is_silent() -> None:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-7)
        for _ in range(20):
            step_on(model, optimizer, torch.rand(8, 4))
            optimizer.param_groups[0]["lr"] *= 10

    assert watch.findings == ()


def test_a_schedule_of_absolute_rates_over_a_factor_of_1_is_silent() -> None:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.Adam(model.parameters(), lr=1.0)
        scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: 1e-3 * min((step + 1) ** -0.5, (step + 1) / 10))
        for _ in range(12):
            step_on(model, optimizer, torch.rand(8, 4))
            scheduler.step()

    assert watch.findings == ()


def test_one_epoch_of_a_warm_up_from_zero_is_silent() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: epoch / 5)
    with tensorcheck.watch(model) as watch:
        for _ in range(12):
            step_on(model, optimizer, torch.rand(8, 4))
        scheduler.step()

    assert watch.findings == ()


def test_a_schedule_that_shrinks_the_rate_to_nothing_is_found_where_it_is_built() -> None:
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.01)
        for _ in range(40):
            step_on(model, optimizer, torch.rand(8, 4))
            scheduler.step()

    (finding,) = watch.findings
    assert finding.rule == "TCK508"
    assert finding.site is not None
    assert finding.site.code == "lr_scheduler.ExponentialLR(optimizer, gamma=0.01)"
