"""Attributes that want a gradient and are no parameters."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding


class Scaled(nn.Module):
    """A layer and a factor of whatever kind."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.scale = scale

    def forward(self, rows: Tensor) -> Tensor:
        scaled: Tensor = self.linear(rows) * self.scale
        return scaled


def found(model: Scaled, after: Callable[[Scaled], object] = lambda _: None, *others: Tensor) -> list[Finding]:
    optimizer = torch.optim.SGD([*model.parameters(), *others], lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
            after(model)
    return list(watch.findings)


LOOSE: dict[str, Callable[[], Tensor]] = {
    "leaf": lambda: torch.ones(4, requires_grad=True),
    "computed from a parameter": lambda: nn.Parameter(torch.ones(4)) + 0.5,
}


@pytest.mark.parametrize("make", LOOSE.values(), ids=LOOSE)
def test_an_attribute_that_wants_a_gradient_and_is_no_parameter_is_found(make: Callable[[], Tensor]) -> None:
    (finding,) = found(Scaled(make()))

    assert finding.rule == "TCK422"
    assert finding.headline.startswith("`scale` gets a gradient")
    assert finding.site is not None
    assert finding.site.code == "self.scale = scale"


def test_one_that_an_optimizer_holds_is_silent() -> None:
    scale = torch.ones(4, requires_grad=True)
    assert found(Scaled(scale), lambda _: None, scale) == []


@torch.no_grad()
def by_hand(model: Scaled) -> None:
    assert model.scale.grad is not None
    model.scale -= 0.1 * model.scale.grad
    model.scale.grad = None


def test_one_that_is_updated_by_hand_is_silent() -> None:
    assert found(Scaled(torch.ones(4, requires_grad=True)), by_hand) == []


def test_buffers_and_parameters_are_silent() -> None:
    assert found(Scaled(torch.ones(4))) == []
    assert found(Scaled(nn.Parameter(torch.ones(4)))) == []


def test_points_that_a_derivative_is_asked_for_are_silent() -> None:
    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(1, 1)
            self.points = torch.linspace(0, 1, 8)[:, None].requires_grad_()

        def forward(self) -> Tensor:
            values = self.net(self.points).sin()
            (slope,) = torch.autograd.grad(values.sum(), self.points, create_graph=True)
            residual: Tensor = slope - values
            return residual

    model = Field()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            model().square().mean().backward()
            optimizer.step()

    assert not watch.findings


def test_a_state_that_is_made_anew_in_each_step_is_silent() -> None:
    class Remembering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(4, 4)

        def forward(self, rows: Tensor) -> Tensor:
            self.last = self.cell(rows)
            doubled: Tensor = self.last * 2
            return doubled

    model = Remembering()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()

    assert not watch.findings
