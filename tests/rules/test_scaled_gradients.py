"""What is done with scaled gradients before they are divided by the scale."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

import tensorcheck
from tensorcheck.findings import Finding

Step = Callable[[nn.Module, Optimizer, GradScaler, Tensor], None]


def trained(step: Step, *, enabled: bool = True) -> list[Finding]:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    scaler = GradScaler("cpu", enabled=enabled)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            step(model, optimizer, scaler, model(torch.rand(8, 4)).square().mean())
    return [finding for finding in watch.findings if finding.rule == "TCK614"]


def clips_scaled(model: nn.Module, optimizer: Optimizer, scaler: GradScaler, loss: Tensor) -> None:
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(list(model.parameters()), max_norm=1.0)
    scaler.step(optimizer)
    scaler.update()


def clips_values(model: nn.Module, optimizer: Optimizer, scaler: GradScaler, loss: Tensor) -> None:
    scaler.scale(loss).backward()
    nn.utils.clip_grad_value_(model.parameters(), 0.5)
    scaler.step(optimizer)
    scaler.update()


def steps_itself(_: nn.Module, optimizer: Optimizer, scaler: GradScaler, loss: Tensor) -> None:
    scaler.scale(loss).backward()
    optimizer.step()


def scales_twice(_: nn.Module, optimizer: Optimizer, scaler: GradScaler, loss: Tensor) -> None:
    loss = scaler.scale(loss)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (clips_scaled, "clipped while"),
        (clips_values, "clipped while"),
        (steps_itself, "the optimizer steps"),
        (scales_twice, "scaled twice"),
    ],
)
def test_scaled_gradients_that_are_used_are_found(step: Step, words: str) -> None:
    (finding,) = trained(step)
    assert words in finding.headline


def unscales(model: nn.Module, optimizer: Optimizer, scaler: GradScaler, loss: Tensor) -> None:
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()


def scales_limit(model: nn.Module, optimizer: Optimizer, scaler: GradScaler, loss: Tensor) -> None:
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0 * scaler.get_scale())
    scaler.step(optimizer)
    scaler.update()


def measures(model: nn.Module, optimizer: Optimizer, scaler: GradScaler, loss: Tensor) -> None:
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(model.parameters(), float("inf"))
    scaler.step(optimizer)
    scaler.update()


def steps_unscaled(_: nn.Module, optimizer: Optimizer, scaler: GradScaler, loss: Tensor) -> None:
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    optimizer.step()
    scaler.update()


def does_without(model: nn.Module, optimizer: Optimizer, _: GradScaler, loss: Tensor) -> None:
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


@pytest.mark.parametrize("step", [unscales, scales_limit, measures, steps_unscaled, does_without])
def test_gradients_that_are_divided_first_are_silent(step: Step) -> None:
    assert not trained(step)


def test_a_scaler_that_is_not_enabled_is_silent() -> None:
    assert not trained(clips_scaled, enabled=False)


def test_two_optimizers_of_which_one_is_scaled_are_silent() -> None:
    generator, critic = nn.Linear(4, 2), nn.Linear(2, 1)
    of_generator, of_critic = (torch.optim.SGD(each.parameters(), lr=1e-3) for each in (generator, critic))
    scaler = GradScaler("cpu")
    with tensorcheck.watch(generator, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            of_critic.zero_grad()
            scaler.scale(critic(generator(torch.rand(8, 4)).detach()).mean()).backward()
            scaler.step(of_critic)
            scaler.update()
            of_generator.zero_grad()
            critic(generator(torch.rand(8, 4))).square().mean().backward()
            of_generator.step()

    assert "TCK614" not in [finding.rule for finding in watch.findings]
