"""Parameters that come after the optimizer, optimizers of another model, and frozen groups."""

from collections.abc import Callable

import torch
from torch import nn

import tensorcheck
from tensorcheck.findings import Finding

Change = Callable[[nn.Sequential], object]


def step_on(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.rand(8, 4)).square().mean().backward()
    optimizer.step()


def codes_after(change: Change, *, at: int = 5, steps: int = 12, freeze: bool = False) -> list[str]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model[0].requires_grad_(requires_grad=not freeze)
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for step in range(steps):
            if step == at:
                change(model)
            step_on(model, optimizer)
    return [finding.rule for finding in watch.findings]


def _replaced(model: nn.Sequential) -> None:
    model[2] = nn.Linear(8, 3)


def _added(model: nn.Sequential) -> None:
    model.append(nn.Linear(2, 2))


def _unfrozen_one_by_one(model: nn.Sequential) -> None:
    for each in model[0].parameters():
        each.requires_grad = True


def test_a_layer_replaced_in_mid_training_is_found() -> None:
    assert codes_after(_replaced) == ["TCK402"]


def test_a_layer_added_in_mid_training_is_found() -> None:
    assert codes_after(_added) == ["TCK402"]


def test_a_layer_unfrozen_in_mid_training_is_found_at_once() -> None:
    assert codes_after(lambda model: model[0].requires_grad_(), freeze=True, at=9) == ["TCK402"]


def test_parameters_unfrozen_one_by_one_are_found() -> None:
    assert codes_after(_unfrozen_one_by_one, freeze=True) == ["TCK402"]


def test_a_layer_that_is_unfrozen_and_given_to_the_optimizer_is_silent() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model[0].requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(12):
            if step == 5:
                model[0].requires_grad_()
                optimizer.add_param_group({"params": model[0].parameters()})
            step_on(model, optimizer)

    assert watch.findings == ()


def test_the_optimizer_of_another_model_is_found_where_it_is_built() -> None:
    student, teacher = nn.Sequential(nn.Linear(4, 2)), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    with tensorcheck.watch(student, on_finding=list[Finding]().append) as watch:
        optimizer = torch.optim.SGD(teacher.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            student(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()

    (finding,) = watch.findings
    assert finding.rule == "TCK427"
    assert finding.help == "SGD(student.parameters(), ...)"
    assert finding.site is not None
    assert finding.site.code == "torch.optim.SGD(teacher.parameters(), lr=0.1)"


def test_a_part_that_is_idle_at_first_is_silent() -> None:
    model, later = nn.Sequential(nn.Linear(4, 2)), nn.Sequential(nn.Linear(2, 2))
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (model, later)]
    with tensorcheck.watch(model, later) as watch:
        for _ in range(6):
            model.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            for each in optimizers:
                each.step()

    assert watch.findings == ()


def test_a_frozen_backbone_in_the_only_group_is_silent() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model[0].requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(4):
            step_on(model, optimizer)

    assert watch.findings == ()
