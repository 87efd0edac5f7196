"""Graphs that are kept from step to step, and what is kept without one."""

import gc
import weakref
from collections import deque
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding

STEPS = 12


class Log:
    """A user's own object that keeps what it is told."""

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.rows: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        self.total = self.total + loss

    def put(self, loss: Tensor) -> None:
        self.rows.append(loss)


def train(keep: Callable[[Tensor], object], *, steps: int = STEPS) -> list[Finding]:
    """What is found where each step hands its loss on; `keep` is called where the loop can see what it holds."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    held = getattr(keep, "__self__", None)
    assert held is not None
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            loss.backward()
            optimizer.step()
            keep(loss)
    return list(watch.findings)


def test_a_running_loss_is_found_at_the_line_that_adds() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    running: Tensor | float = 0.0
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            loss.backward()
            optimizer.step()
            running += loss

    (finding,) = watch.findings
    assert finding.rule == "TCK423"
    assert finding.headline == "`running` keeps the graphs of the last 7 steps, and grows"
    assert finding.site is not None
    assert finding.site.code == "running += loss"
    assert finding.help == "running += loss.detach()"


def test_the_total_of_an_object_is_found() -> None:
    (finding,) = train(Log().add)

    assert finding.rule == "TCK423"
    assert finding.site is not None
    assert finding.site.code == "self.total = self.total + loss"


def test_a_list_of_an_object_is_found() -> None:
    (finding,) = train(Log().put)

    assert finding.site is not None
    assert finding.site.code == "self.rows.append(loss)"
    assert finding.help == "self.rows.append(loss.detach())"


def test_a_long_buffer_is_found() -> None:
    (finding,) = train(deque[Tensor](maxlen=100).append)

    assert finding.headline == "`held` keeps the graphs of the last 7 steps, and grows"


def test_a_state_that_is_never_detached_is_found() -> None:
    model = nn.RNN(4, 4, batch_first=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    state = torch.zeros(1, 8, 4)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            out, new = model(torch.rand(8, 2, 4), state.detach())
            state = state * 0.5 + new
            out.square().mean().backward(retain_graph=True)
            optimizer.step()

    codes = {finding.rule for finding in watch.findings}
    assert "TCK423" in codes
    (kept,) = [finding for finding in watch.findings if finding.rule == "TCK423"]
    assert kept.site is not None
    assert kept.site.code == "state = state * 0.5 + new"


def short_window() -> Callable[[Tensor], object]:
    return deque[Tensor](maxlen=3).append


def detached() -> Callable[[Tensor], object]:
    class Total:
        def __init__(self) -> None:
            self.total: Tensor | float = 0.0

        def add(self, loss: Tensor) -> None:
            self.total += loss.detach()

    return Total().add


@pytest.mark.parametrize("make", [short_window, detached])
def test_what_does_not_grow_is_silent(make: Callable[[], Callable[[Tensor], object]]) -> None:
    assert train(make()) == []


def test_a_truncated_backward_through_time_is_silent() -> None:
    model = nn.RNN(4, 4, batch_first=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    state = torch.zeros(1, 8, 4)
    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            out, state = model(torch.rand(8, 2, 4), state.detach())
            out.square().mean().backward()
            optimizer.step()

    assert not watch.findings


def test_losses_that_are_gathered_for_one_step_are_silent() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            losses = [model(torch.rand(8, 4)).square().mean() for _ in range(5)]
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()
            optimizer.step()

    assert not watch.findings


def test_a_graph_that_was_made_once_and_is_used_in_each_step_is_silent() -> None:
    frozen, model = nn.Linear(4, 4), nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    features = frozen(torch.rand(8, 4))
    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = model(features).square().mean()
            loss.backward(retain_graph=True)
            optimizer.step()
            frozen.zero_grad()

    assert not [finding for finding in watch.findings if finding.rule == "TCK423"]


def test_nothing_is_kept_alive_by_looking() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen: list[weakref.ref[Tensor]] = []
    with tensorcheck.watch(model):
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            loss.backward()
            optimizer.step()
            seen.append(weakref.ref(loss))
            del loss
            gc.collect()
            assert seen[-1]() is None
