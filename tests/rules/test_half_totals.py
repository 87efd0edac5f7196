"""Totals and averages in half precision from step to step; and healthy ones."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import tensorcheck
from tensorcheck.findings import Finding


@dataclass
class Loop:
    """What a training loop may carry on."""

    dtype: torch.dtype = torch.bfloat16
    model: nn.Module = field(default_factory=lambda: nn.Linear(4, 2))
    total: Tensor = field(init=False)
    shadow: nn.Module = field(init=False)
    history: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.total = torch.zeros((), dtype=self.dtype)
        self.model = self.model.to(self.dtype)
        self.shadow = copy.deepcopy(self.model).requires_grad_(requires_grad=False)


def found(after: Callable[[Loop, Tensor], object], dtype: torch.dtype = torch.bfloat16) -> list[Finding]:
    loop = Loop(dtype)
    optimizer = torch.optim.SGD(loop.model.parameters(), lr=0.1)
    with tensorcheck.watch(loop.model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(5):
            optimizer.zero_grad()
            loss = loop.model(torch.rand(8, 4).to(dtype)).square().mean()
            loss.backward()
            optimizer.step()
            after(loop, loss)
    return [finding for finding in watch.findings if finding.rule == "TCK115"]


def adds(loop: Loop, loss: Tensor) -> None:
    loop.total += loss.detach()


def adds_anew(loop: Loop, loss: Tensor) -> None:
    loop.total = loop.total + loss.detach()


def adds_in_place(loop: Loop, loss: Tensor) -> None:
    loop.total.add_(loss.detach())


def averages(loop: Loop, _: Tensor) -> None:
    with torch.no_grad():
        for mean, each in zip(loop.shadow.parameters(), loop.model.parameters(), strict=True):
            mean.mul_(0.999).add_(each, alpha=0.001)


def averages_anew(loop: Loop, _: Tensor) -> None:
    known = loop.states or [each.detach().clone() for each in loop.model.parameters()]
    loop.states = [
        0.999 * mean + 0.001 * each.detach() for mean, each in zip(known, loop.model.parameters(), strict=True)
    ]


def lerps(loop: Loop, _: Tensor) -> None:
    with torch.no_grad():
        for mean, each in zip(loop.shadow.parameters(), loop.model.parameters(), strict=True):
            mean.lerp_(each, 0.001)


@pytest.mark.parametrize("after", [adds, adds_anew, adds_in_place, averages, averages_anew, lerps])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_is_carried_on_in_half_is_found_once(after: Callable[[Loop, Tensor], object], dtype: torch.dtype) -> None:
    (finding,) = found(after, dtype)

    assert finding.site is not None
    assert after.__name__ in finding.site.function


def test_an_average_by_pytorch_is_found_at_the_users_line() -> None:
    averaged: list[AveragedModel] = []

    def update(loop: Loop, _: Tensor) -> None:
        if not averaged:
            averaged.append(AveragedModel(loop.model, multi_avg_fn=get_ema_multi_avg_fn(0.999)))
        averaged[0].update_parameters(loop.model)

    (finding,) = found(update)
    assert finding.site is not None
    assert finding.site.code == "averaged[0].update_parameters(loop.model)"


def in_single(loop: Loop, loss: Tensor) -> None:
    loop.total = loop.total.float() + loss.detach().float()


def smoothed(loop: Loop, loss: Tensor) -> None:
    loop.total = 0.9 * loop.total + 0.1 * loss.detach()


def listed(loop: Loop, loss: Tensor) -> None:
    loop.history.append(loss.detach())


def within_a_step(loop: Loop, loss: Tensor) -> None:
    total = torch.zeros((), dtype=loop.dtype)
    for _ in range(3):
        total += loss.detach()


def begun_anew(loop: Loop, loss: Tensor) -> None:
    loop.total = loss.detach() + 1


@pytest.mark.parametrize("after", [in_single, smoothed, listed, within_a_step, begun_anew])
def test_healthy_ways_are_silent(after: Callable[[Loop, Tensor], object]) -> None:
    assert not found(after)


@pytest.mark.parametrize("after", [adds, averages, lerps])
def test_float32_is_silent(after: Callable[[Loop, Tensor], object]) -> None:
    assert not found(after, torch.float32)
