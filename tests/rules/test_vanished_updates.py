"""Weights in half precision that the steps of an optimizer do not move; and healthy ones."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import tensorcheck
from tensorcheck.findings import Finding
from tensorcheck.settings import Settings
from tensorcheck.watching import watch_process

Build = Callable[[nn.Module], Optimizer]


def trained(
    build: Build,
    *,
    model: nn.Module | None = None,
    each_step: Callable[[Optimizer, int], object] = lambda *_: None,
    steps: int = 4,
) -> list[Finding]:
    watched = model if model is not None else nn.Linear(64, 64).bfloat16()
    dtype = next(watched.parameters()).dtype
    optimizer = build(watched)
    with tensorcheck.watch(watched, on_finding=list[Finding]().append) as watch:
        for step in range(steps):
            optimizer.zero_grad()
            watched(torch.rand(8, 64).to(dtype)).float().square().mean().backward()
            optimizer.step()
            each_step(optimizer, step)
    return [finding for finding in watch.findings if finding.rule == "TCK116"]


@pytest.mark.parametrize(
    "build",
    [
        lambda model: torch.optim.AdamW(model.parameters(), lr=1e-5),
        lambda model: torch.optim.Adam(model.parameters(), lr=2e-5),
        lambda model: torch.optim.SGD(model.parameters(), lr=1e-3),
        lambda model: torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9),
    ],
)
def test_steps_that_bfloat16_rounds_away_are_found_where_the_weights_became_it(build: Build) -> None:
    model = nn.Linear(64, 64)
    model = model.to(torch.bfloat16)
    optimizer = build(model)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.rand(8, 64).bfloat16()).float().square().mean().backward()
            optimizer.step()

    (finding,) = [finding for finding in watch.findings if finding.rule == "TCK116"]
    assert finding.site is not None
    assert finding.site.code == "model.to(torch.bfloat16)"


def test_float16_is_found_too() -> None:
    assert trained(lambda model: torch.optim.SGD(model.parameters(), lr=1e-5), model=nn.Linear(64, 64).half())


def test_a_rate_that_bfloat16_can_follow_is_silent() -> None:
    assert not trained(lambda model: torch.optim.AdamW(model.parameters(), lr=1e-3))


def test_weights_of_float32_are_silent() -> None:
    assert not trained(lambda model: torch.optim.AdamW(model.parameters(), lr=1e-7), model=nn.Linear(64, 64))


def test_a_warm_up_by_a_schedule_is_waited_for() -> None:
    schedules: list[torch.optim.lr_scheduler.LRScheduler] = []

    def build(model: nn.Module) -> Optimizer:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        schedules.append(torch.optim.lr_scheduler.LinearLR(optimizer, 1e-4, total_iters=8))
        return optimizer

    assert not trained(build, each_step=lambda *_: schedules[0].step(), steps=12)


def test_a_warm_up_by_hand_is_waited_for() -> None:
    def warm(optimizer: Optimizer, step: int) -> None:
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, (step + 2) / 8)

    assert not trained(lambda model: torch.optim.AdamW(model.parameters(), lr=1e-5), each_step=warm, steps=12)


def test_a_rate_of_zero_is_another_rules_business() -> None:
    assert not trained(lambda model: torch.optim.SGD(model.parameters(), lr=0.0))


def test_exact_copies_of_the_weights_are_silent() -> None:
    model = nn.Linear(64, 64).bfloat16()
    exact = [nn.Parameter(each.detach().float()) for each in model.parameters()]
    optimizer = torch.optim.AdamW(exact, lr=1e-5)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            model.zero_grad()
            model(torch.rand(8, 64).bfloat16()).float().square().mean().backward()
            for whole, half in zip(exact, model.parameters(), strict=True):
                whole.grad = half.grad.float() if half.grad is not None else None
            optimizer.step()
            with torch.no_grad():
                for whole, half in zip(exact, model.parameters(), strict=True):
                    half.copy_(whole)
    assert "TCK116" not in [finding.rule for finding in watch.findings]


class Compensated(torch.optim.AdamW):
    """Keeps what was rounded away, and so moves in some steps and not in others."""

    def step(self, closure: Callable[[], Tensor] | None = None) -> None:  # type: ignore[override]  # likewise
        with torch.no_grad():
            for group in self.param_groups:
                for each in group["params"]:
                    lost = self.state[each].setdefault("lost", torch.zeros_like(each))
                    lost.sub_(group["lr"] * each.grad.sign())
                    before = each.clone()
                    each.add_(lost)
                    lost.sub_(each - before)


def test_an_optimizer_with_arithmetic_of_its_own_is_silent() -> None:
    assert not trained(lambda model: Compensated(model.parameters(), lr=1e-5))


def test_a_frozen_half_body_under_a_head_of_float32_is_silent() -> None:
    body = nn.Linear(64, 64).bfloat16().requires_grad_(requires_grad=False)
    head = nn.Linear(64, 2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-5)
    with tensorcheck.watch(head, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            head(body(torch.rand(8, 64).bfloat16()).float()).square().mean().backward()
            optimizer.step()
    assert "TCK116" not in [finding.rule for finding in watch.findings]


def test_gradients_too_small_for_float32_are_not_blamed_on_half() -> None:
    def build(model: nn.Module) -> Optimizer:
        for parameter in model.parameters():
            parameter.register_hook(lambda gradient: gradient * 1e-9)
        return torch.optim.SGD(model.parameters(), lr=1e-3)

    assert not trained(build)


def test_the_weights_are_as_without_us() -> None:
    def weights(*, watched: bool) -> Tensor:
        torch.manual_seed(0)
        model = nn.Linear(16, 16).bfloat16()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        watch = tensorcheck.watch(model, on_finding=list[Finding]().append) if watched else None
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.rand(8, 16).bfloat16()).float().square().mean().backward()
            optimizer.step()
        if watch is not None:
            watch.close()
        return model.weight.detach()

    assert torch.equal(weights(watched=True), weights(watched=False))


def in_bfloat16() -> nn.Module:
    return nn.Linear(64, 64).to("cpu", torch.bfloat16)


def test_in_a_whole_script_the_line_that_cast_the_model_is_the_place() -> None:
    with watch_process(list[Finding]().append, settings=Settings()) as watch:
        model = in_bfloat16()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.rand(8, 64).bfloat16()).float().square().mean().backward()
            optimizer.step()

    (finding,) = [finding for finding in watch.findings if finding.rule == "TCK116"]
    assert finding.site is not None
    assert finding.site.code == 'nn.Linear(64, 64).to("cpu", torch.bfloat16)'
