"""Targets, teachers and fakes through which gradients flow, and losses that mean it."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.findings import Finding, Severity

Loss = Callable[[nn.Module], Tensor]


def findings_of(loss: Loss, steps: int = 5) -> tuple[Finding, ...]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model).backward()
            optimizer.step()
    return watch.findings


def _values(model: nn.Module) -> Tensor:
    best: Tensor = model(torch.rand(8, 4)).max(1).values
    return best


def test_a_target_of_the_same_network_in_a_difference_is_found() -> None:
    def loss(model: nn.Module) -> Tensor:
        target = torch.rand(8) + 0.9 * _values(model)
        return (_values(model) - target).pow(2).mean()

    (finding,) = findings_of(loss)

    assert (finding.rule, finding.severity) == ("TCK432", Severity.WARNING)
    assert finding.help == "(torch.rand(8) + 0.9 * _values(model)).detach()"


def test_a_discount_that_ends_with_an_episode_is_found() -> None:
    def loss(model: nn.Module) -> Tensor:
        target = torch.rand(8) + 0.9 * _values(model) * (1 - torch.zeros(8))
        return functional.smooth_l1_loss(_values(model), target)

    assert [finding.rule for finding in findings_of(loss)] == ["TCK432"]


_TARGET = copy.deepcopy(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))).requires_grad_(requires_grad=False)


@pytest.mark.parametrize(
    "loss",
    [
        lambda model: functional.mse_loss(_values(model), (torch.rand(8) + 0.9 * _values(model)).detach()),
        lambda model: functional.mse_loss(_values(model), torch.rand(8) + 0.9 * _values(_TARGET)),
        lambda model: functional.mse_loss(_values(model), _values(model)),
        lambda model: (model(torch.rand(8, 4)) - model(torch.rand(8, 4))).pow(2).mean(),
        lambda model: functional.mse_loss(0.5 * _values(model) + torch.rand(8), 0.5 * _values(model) + torch.rand(8)),
    ],
    ids=["detached", "target network", "two views", "contrast", "two mixed views"],
)
def test_losses_that_mean_it_are_silent(loss: Loss) -> None:
    assert findings_of(loss) == ()


def test_a_target_network_that_is_not_frozen_is_no_warning() -> None:
    target = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))

    findings = findings_of(lambda model: functional.mse_loss(_values(model), torch.rand(8) + 0.9 * _values(target)))

    assert [finding for finding in findings if finding.severity > Severity.INFO] == []


def test_a_teacher_that_is_not_frozen_is_an_info() -> None:
    model, teacher = nn.Sequential(nn.Linear(4, 2)), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(5):
            optimizer.zero_grad()
            batch = torch.rand(8, 4)
            functional.mse_loss(model(batch), teacher(batch)).backward()
            optimizer.step()

    (finding,) = watch.findings
    assert (finding.rule, finding.severity, finding.help) == (
        "TCK432",
        Severity.INFO,
        "teacher.requires_grad_(False)",
    )


def test_a_module_that_is_moved_by_hand_is_silent() -> None:
    model, other = nn.Sequential(nn.Linear(4, 2)), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(5):
            optimizer.zero_grad()
            other.zero_grad()
            batch = torch.rand(8, 4)
            functional.mse_loss(model(batch), other(batch)).backward()
            optimizer.step()
            with torch.no_grad():
                for each in other.parameters():
                    assert each.grad is not None
                    each.sub_(0.01 * each.grad)

    assert watch.findings == ()


def adversaries(fakes: Callable[[Tensor], Tensor]) -> tuple[Finding, ...]:
    torch.manual_seed(0)
    generator, critic = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    both = nn.ModuleList([generator, critic])
    generator_steps = torch.optim.SGD(generator.parameters(), lr=0.01)
    critic_steps = torch.optim.SGD(critic.parameters(), lr=0.01)
    with tensorcheck.watch(both, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            fake = generator(torch.rand(8, 4))
            critic_steps.zero_grad()
            (critic(fakes(fake)).mean() - critic(torch.rand(8, 4)).mean()).backward()
            critic_steps.step()
            generator_steps.zero_grad()
            (-critic(generator(torch.rand(8, 4))).mean()).backward()
            generator_steps.step()
    return watch.findings


def test_fakes_that_are_not_detached_are_an_info_at_the_loss_of_the_critic() -> None:
    (finding,) = adversaries(lambda fake: fake)

    assert (finding.rule, finding.severity) == ("TCK432", Severity.INFO)
    assert finding.site is not None
    assert "fakes(fake)" in finding.site.code


def test_fakes_that_are_detached_are_silent() -> None:
    assert adversaries(lambda fake: fake.detach()) == ()
