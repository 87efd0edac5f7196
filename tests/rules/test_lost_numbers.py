"""The first NaN of a run, forward and backward, in the traced steps and long after; and losses that heal themselves."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import tensorcheck
from tensorcheck.findings import Finding

Loss = Callable[[Tensor, int], Tensor]
"""Of the model's output, in this step."""


def trained(loss_of: Loss, *, steps: int = 3, lr: float = 0.01, **settings: object) -> list[Finding]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for step in range(steps):
            optimizer.zero_grad()
            loss_of(model(torch.randn(8, 4)), step).backward()
            optimizer.step()
    return [finding for finding in watch.findings if finding.category == "numeric"]


def code_of(finding: Finding) -> str:
    return finding.site.code if finding.site is not None else ""


def log_of_zero(out: Tensor, step: int) -> Tensor:
    chance = out.sigmoid() * (step < 20)
    return -torch.log(chance).mean()


def root_of_zero(out: Tensor, step: int) -> Tensor:
    size = (out * (step < 20)).square().sum(1)
    return torch.where(size > 0, torch.sqrt(size), 0.0).mean() + out.mean()


def quotient_by_zero(out: Tensor, step: int) -> Tensor:
    return (out / (out.square() * (step < 20))).mean()


def mean_over_nothing(out: Tensor, step: int) -> Tensor:
    is_chosen = torch.ones(8) * (step < 20) > 0
    chosen = out[:, 0] * is_chosen
    return chosen.sum() / is_chosen.sum()


def exp_of_much(out: Tensor, step: int) -> Tensor:
    return torch.exp(out.abs() * (1000.0 if step >= 20 else 1.0)).mean()


@pytest.mark.parametrize(
    ("loss_of", "rule", "code"),
    [
        (log_of_zero, "TCK601", "torch.log(chance)"),
        (mean_over_nothing, "TCK601", "chosen.sum() / is_chosen.sum()"),
        (quotient_by_zero, "TCK601", "out / (out.square() * (step < 20))"),
        (exp_of_much, "TCK601", "torch.exp(out.abs() * (1000.0 if step >= 20 else 1.0))"),
        (root_of_zero, "TCK602", "torch.sqrt(size)"),
    ],
)
def test_the_operation_is_named_long_after_the_traced_steps(loss_of: Loss, rule: str, code: str) -> None:
    (finding,) = trained(loss_of, steps=30, lr=1e-4)

    assert (finding.rule, code_of(finding), "step 20" in finding.headline) == (rule, code, True)


def test_the_line_of_an_operation_in_the_traced_steps_is_named() -> None:
    (finding,) = trained(lambda out, _: out.relu().sub(9.0).log().mean())

    assert (finding.rule, code_of(finding)) == ("TCK601", "out.relu().sub(9.0).log()")


def test_the_ranges_of_the_operands_are_told() -> None:
    (finding,) = trained(lambda out, _: -torch.log(out.sigmoid() * 0).mean())

    assert finding.got == "self: float32[8, 2] cpu, grad, 0, 100% zero"


def test_a_diverged_training_is_told_so() -> None:
    (finding,) = trained(lambda out, _: (out * 1e4).square().square().mean(), steps=60, lr=10.0)

    assert finding.rule == "TCK601"
    assert "likely the training diverged" in finding.notes[0]


def test_a_gradient_that_accumulates_is_found_when_it_is_stepped_with() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        (model(torch.randn(8, 4)) * 0).sqrt().mean().backward()
        model(torch.randn(8, 4)).mean().backward()
        optimizer.step()

    assert [finding.rule for finding in watch.findings] == ["TCK602"]


@pytest.mark.parametrize(
    "loss_of",
    [
        lambda out, _: torch.where(out > 0, out.clamp(min=1e-3).log(), 0.0).mean(),
        lambda out, _: out.masked_fill(torch.eye(8, 2) > 0, -torch.inf).softmax(1).square().mean(),
        lambda out, _: (out - out.detach()).norm() + out.square().mean(),
        lambda out, _: (out * 0).abs().mean() + out.square().mean(),
        lambda out, _: torch.logsumexp(out * 1000, 1).mean(),
        lambda out, _: (out.square() + 1e-12).sqrt().mean(),
        lambda out, _: nn.functional.normalize(out * 0 + 1e-30).mean() + out.square().mean(),
        lambda out, _: (out.relu() ** 2).mean(),
        lambda out, _: nn.functional.binary_cross_entropy((out * 1000).sigmoid(), torch.ones(8, 2)),
    ],
)
def test_numbers_at_the_edge_that_stay_finite_are_silent(loss_of: Loss) -> None:
    assert not trained(loss_of)


def skipping(step_of: Callable[[nn.Module, torch.optim.Optimizer, Tensor], None]) -> list[str]:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for step in range(6):
            optimizer.zero_grad()
            step_of(model, optimizer, (model(torch.randn(8, 4)).abs() * (step % 2)).log().mean())
    return [finding.rule for finding in watch.findings if finding.category == "numeric"]


def step_if_loss_is_finite(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    if torch.isfinite(loss):
        loss.backward()
        optimizer.step()


def step_if_norm_is_finite(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    loss.backward()
    if torch.isfinite(nn.utils.clip_grad_norm_(model.parameters(), 1.0)):
        optimizer.step()


def step_scaled(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize("step_of", [step_if_loss_is_finite, step_if_norm_is_finite, step_scaled])
def test_a_step_that_is_left_out_is_silent(
    step_of: Callable[[nn.Module, torch.optim.Optimizer, Tensor], None],
) -> None:
    assert skipping(step_of) == []


def test_gradients_that_are_made_finite_before_the_step_are_silent() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        (model(torch.randn(8, 4)) * 0).sqrt().mean().backward()
        for parameter in model.parameters():
            parameter.grad = torch.nan_to_num(parameter.grad, 0.0) if parameter.grad is not None else None
        optimizer.step()

    assert not [finding for finding in watch.findings if finding.category == "numeric"]


def test_what_checkpointing_has_saved_is_not_computed_once_more() -> None:
    calls: list[int] = []

    def part(out: Tensor) -> Tensor:
        calls.append(1)
        return out.square()

    findings = trained(lambda out, _: (checkpoint(part, out, use_reentrant=False) * 0).log().mean(), steps=1)

    assert (len(calls), [finding.rule for finding in findings]) == (2, ["TCK601"])


def test_nothing_of_the_graph_is_kept() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    storages = []
    with tensorcheck.watch(model, on_finding=list[Finding]().append):
        for _ in range(3):
            out = model(torch.randn(8, 4)).abs().sqrt()
            storages.append(torch.multiprocessing.reductions.StorageWeakRef(out.untyped_storage()))
            out.mean().backward()
            optimizer.step()
            del out

        assert [each.expired() for each in storages] == [True] * 3


def test_an_operation_beside_a_compiled_model_is_named() -> None:
    model = nn.Linear(4, 2)
    compiled = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for step in range(6):
            optimizer.zero_grad()
            (compiled(torch.rand(8, 4)).square() * (step < 5)).log().mean().backward()
            optimizer.step()
    torch._dynamo.reset()  # what is compiled anywhere in a process keeps the sessions after it from tracing

    assert [finding.headline for finding in watch.findings] == ["`log` made the loss -inf in step 5"]
