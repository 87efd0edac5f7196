"""Parameters that no loss leads to, and gradients that are zero everywhere; heads that are only idle for a while."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding, Severity

Join = Callable[["Heads", Tensor, int], Tensor]


class Heads(nn.Module):
    """A body and two heads, of which a step uses what a test wants to see."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 2)


def found(join: Join, steps: int = 16, lr: Callable[[int], float] = lambda _: 0.1) -> list[Finding]:
    torch.manual_seed(0)
    model = Heads()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = lr(step)
            optimizer.zero_grad()
            join(model, model.body(torch.rand(8, 4)), step).square().mean().backward()
            optimizer.step()
    return list(watch.findings)


def unused(net: Heads, rows: Tensor, step: int) -> Tensor:
    return net.one(rows)  # type: ignore[no-any-return]  # a module may return anything


def ignored(net: Heads, rows: Tensor, step: int) -> Tensor:
    net.two(rows)
    return net.one(rows)  # type: ignore[no-any-return]  # likewise


@pytest.mark.parametrize("join", [unused, ignored])
def test_a_head_that_no_loss_leads_to_is_found_when_the_run_is_over(join: Join) -> None:
    (finding,) = found(join)

    assert (finding.rule, finding.severity) == ("TCK418", Severity.WARNING)
    assert finding.headline == "no loss in 16 steps leads to `two`"
    assert finding.notes == ("never learns: `two.weight`, `two.bias`",)


def test_what_a_head_gave_and_the_loss_left_out_is_shown() -> None:
    (finding,) = found(ignored)

    assert finding.site is not None
    assert finding.site.code == "net.two(rows)"
    assert finding.label == "the loss leaves out what it gives"


def test_a_run_that_breaks_off_says_nothing_of_idle_heads() -> None:
    model = Heads()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(KeyboardInterrupt), tensorcheck.watch(model) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            model.one(model.body(torch.rand(8, 4))).mean().backward()
            optimizer.step()
        raise KeyboardInterrupt

    assert not watch.findings


IDLE: dict[str, Join] = {
    "later": lambda net, rows, step: net.one(rows) if step < 9 else net.two(rows),
    "in turns": lambda net, rows, step: net.two(rows) if step % 5 == 4 else net.one(rows),
}


@pytest.mark.parametrize("join", IDLE.values(), ids=IDLE)
def test_heads_that_are_idle_for_a_while_are_silent(join: Join) -> None:
    assert found(join) == []


def test_a_short_run_says_nothing_of_idle_heads() -> None:
    assert found(unused, steps=6) == []


def test_a_parameter_that_is_moved_by_hand_is_silent() -> None:
    def moved(net: Heads, rows: Tensor, step: int) -> Tensor:
        with torch.no_grad():
            net.two.weight.mul_(0.9).add_(net.one.weight, alpha=0.1)
            net.two.bias.copy_(net.one.bias)
        return net.one(rows)  # type: ignore[no-any-return]  # a module may return anything

    assert found(moved) == []


def test_a_layer_behind_a_softmax_over_one_value_is_found() -> None:
    def weighted(net: Heads, rows: Tensor, step: int) -> Tensor:
        weights = net.two(rows)[:, :1].softmax(1)
        return net.one(rows) * weights  # type: ignore[no-any-return]  # likewise

    (finding,) = found(weighted)
    assert (finding.rule, finding.severity) == ("TCK434", Severity.WARNING)
    assert finding.notes == ("never learns: `two.weight`, `two.bias`",)


def test_an_optimizer_whose_gradients_are_all_zero_is_an_info() -> None:
    (finding,) = found(lambda net, rows, _: net.two(net.one(rows).repeat(1, 2)) * torch.zeros(1))

    assert (finding.rule, finding.severity) == ("TCK434", Severity.INFO)


def test_layers_behind_one_that_begins_at_zero_are_silent() -> None:
    def residual(net: Heads, rows: Tensor, step: int) -> Tensor:
        if step == 0:
            nn.init.zeros_(net.two.weight)
            nn.init.zeros_(net.two.bias)
        return net.one(rows) + net.two(net.body(rows)) + 1  # type: ignore[no-any-return]  # likewise

    assert found(residual, lr=lambda step: 0.0 if step < 2 else 0.1) == []


@pytest.mark.parametrize("is_later", [True, False])
def test_a_head_that_is_multiplied_by_zero_on_purpose_is_silent(is_later: bool) -> None:  # noqa: FBT001 - a case
    def gated(net: Heads, rows: Tensor, step: int) -> Tensor:
        return net.one(rows) + (1 if is_later and step > 8 else 0) * net.two(rows)  # type: ignore[no-any-return]

    assert found(gated) == []


def test_a_bias_that_the_loss_takes_the_difference_of_is_silent() -> None:
    critic = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    with tensorcheck.watch(critic) as watch:
        for _ in range(16):
            optimizer.zero_grad()
            (critic(torch.rand(8, 4)).mean() - critic(torch.rand(8, 4)).mean()).backward()
            optimizer.step()

    assert not watch.findings


def test_rows_of_an_embedding_that_are_never_looked_up_are_silent() -> None:
    model = nn.Sequential(nn.Embedding(6, 3, padding_idx=0), nn.Flatten(), nn.Linear(6, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(16):
            optimizer.zero_grad()
            model(torch.tensor([[0, 1], [2, 0]])).square().mean().backward()
            optimizer.step()

    assert not watch.findings


def test_gradients_that_are_zeroed_by_hand_before_the_step_are_no_mistake_of_the_loss() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(16):
            model(torch.rand(8, 4)).square().mean().backward()
            assert model.weight.grad is not None
            model.weight.grad.zero_()
            optimizer.step()
            optimizer.zero_grad()

    assert [finding.rule for finding in watch.findings] == []
