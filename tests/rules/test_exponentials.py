"""Exponentials that are about to overflow, and those that are not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding

Way = Callable[[Tensor], Tensor]


def found(way: Way, at: float = 80.0, dtype: torch.dtype = torch.float32) -> list[Finding]:
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight.mul_(0.01)
        model.bias.fill_(at)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            (way(model(torch.rand(8, 4)).to(dtype)).float().log1p() * 1e-3).mean().backward()
            optimizer.step()
    return [finding for finding in watch.findings if finding.rule in ("TCK601", "TCK602", "TCK605")]


MISTAKES: dict[str, Way] = {
    "exp": lambda out: torch.exp(out),  # noqa: PLW0108 - it has to be our line
    "method": lambda out: out.exp(),
    "in place": lambda out: (out + 1).exp_(),
    "softmax by hand": lambda out: out.exp() / out.exp().sum(1, keepdim=True),
    "cosh": lambda out: torch.cosh(out),  # noqa: PLW0108 - likewise
}


@pytest.mark.parametrize("way", MISTAKES.values(), ids=MISTAKES)
def test_an_exponential_near_the_end_of_float32_is_found(way: Way) -> None:
    finding = found(way)[0]

    assert finding.rule == "TCK605"
    assert finding.site is not None
    assert finding.site.file.endswith("test_exponentials.py")


def test_float16_ends_earlier() -> None:
    assert [finding.rule for finding in found(lambda out: out.exp(), 10.5, torch.float16)] == ["TCK605"]


HEALTHY: dict[str, Way] = {
    "softmax": lambda out: out.softmax(1),
    "shifted": lambda out: (out - out.amax(1, keepdim=True)).exp(),
    "clamped": lambda out: out.clamp(max=79).exp(),
    "sigmoid": lambda out: out.sigmoid(),
    "logsumexp": lambda out: out.logsumexp(1),
    "of the negative": lambda out: (-out).exp(),
    "half of it": lambda out: (out / 2).exp(),
}


@pytest.mark.parametrize("way", HEALTHY.values(), ids=HEALTHY)
def test_bounded_exponentials_are_silent(way: Way) -> None:
    assert not found(way)


def test_a_temperature_is_silent() -> None:
    assert not found(lambda out: out.exp(), 4.6)


def test_half_precision_in_its_range_is_silent() -> None:
    assert not found(lambda out: out.exp(), 8.0, torch.float16)
