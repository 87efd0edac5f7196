"""The order of backward, zero_grad, clipping and step: what is found, and what healthy loops look like it."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding

Loop = Callable[[nn.Module, torch.optim.Optimizer], None]


def findings_of(loop: Loop) -> tuple[Finding, ...]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        loop(model, optimizer)
    return watch.findings


def codes_of(loop: Loop) -> list[str]:
    return [finding.rule for finding in findings_of(loop)]


def loss_of(model: nn.Module) -> Tensor:
    output: Tensor = model(torch.rand(8, 4))
    return output.square().mean()


def test_zeroing_between_backward_and_step_is_found_at_its_line() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(3):
            loss_of(model).backward()
            optimizer.zero_grad()
            optimizer.step()

    (finding,) = findings_of(loop)

    assert finding.rule == "TCK424"
    assert finding.site is not None
    assert finding.site.code == "optimizer.zero_grad()"
    assert [related.site.code for related in finding.related] == ["loss_of(model).backward()", "optimizer.step()"]


def test_zeroing_to_zeros_and_not_to_none_is_found_too() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(3):
            loss_of(model).backward()
            optimizer.zero_grad(set_to_none=False)
            optimizer.step()

    assert codes_of(loop) == ["TCK424"]


def test_zeroing_the_module_between_backward_and_step_is_found_too() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(3):
            loss_of(model).backward()
            model.zero_grad()
            optimizer.step()

    assert codes_of(loop) == ["TCK424"]


def test_zeroing_in_each_of_many_micro_batches_is_found_though_not_each_graph_is_walked() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(20):
            for _ in range(8):
                optimizer.zero_grad()
                loss_of(model).backward()
            optimizer.step()

    assert codes_of(loop) == ["TCK424"]


def test_zeroing_in_each_micro_batch_is_found() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for batch in range(8):
            optimizer.zero_grad()
            loss_of(model).backward()
            if batch % 4 == 3:
                optimizer.step()

    (finding,) = findings_of(loop)

    assert finding.rule == "TCK424"
    assert finding.headline == "of 4 backward passes before a step, only the last one counts"


def test_a_step_before_its_backward_is_found() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(4):
            optimizer.step()
            optimizer.zero_grad()
            loss_of(model).backward()

    (finding,) = findings_of(loop)

    assert finding.rule == "TCK425"
    assert finding.help == "optimizer.step()    after loss_of(model).backward()"


def test_a_step_after_zeroing_and_before_backward_never_has_gradients() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(4):
            optimizer.zero_grad()
            optimizer.step()
            loss_of(model).backward()

    (finding,) = findings_of(loop)

    assert finding.rule == "TCK425"
    assert "no step has any gradients" in finding.got


def test_a_step_that_is_named_and_not_called_is_found() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step  # noqa: B018 - the mistake

    (finding,) = findings_of(loop)

    assert finding.rule == "TCK426"
    assert finding.help == "optimizer.step()"


def test_clipping_before_backward_is_found() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(4):
            optimizer.zero_grad()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            loss_of(model).backward()
            optimizer.step()

    (finding,) = findings_of(loop)

    assert (finding.rule, finding.headline) == ("TCK428", "gradients are clipped before the backward pass")


@pytest.mark.parametrize("clip", [nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_])
def test_clipping_after_the_step_is_found(clip: Callable[[Iterable[Tensor], float], object]) -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()
            clip(list(model.parameters()), 1.0)

    (finding,) = findings_of(loop)

    assert (finding.rule, finding.headline) == ("TCK428", "gradients are clipped after `SGD` has stepped")


def test_clipping_another_model_is_found() -> None:
    other = nn.Linear(4, 2)

    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model).backward()
            nn.utils.clip_grad_norm_(other.parameters(), 1.0)
            optimizer.step()

    (finding,) = findings_of(loop)

    assert (finding.rule, finding.label) == ("TCK428", "clips nothing")


def test_a_graph_that_is_retained_for_nothing_is_told() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model).backward(retain_graph=True)
            optimizer.step()

    (finding,) = findings_of(loop)

    assert finding.rule == "TCK430"
    assert finding.help == "loss_of(model).backward()"


@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate parameters")
def test_a_parameter_twice_in_one_group_is_found() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        optimizer = torch.optim.SGD([*model.parameters(), *model[2].parameters()], lr=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()

    (finding,) = watch.findings
    assert (finding.rule, finding.got) == ("TCK421", "twice in one group: `2.weight`, `2.bias`")


def test_two_optimizers_that_share_a_head_are_found_where_the_second_steps() -> None:
    def loop(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        assert isinstance(model, nn.Sequential)
        head = torch.optim.SGD(model[2].parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()
            head.step()

    (finding,) = findings_of(loop)

    assert finding.rule == "TCK421"
    assert finding.site is not None
    assert finding.site.code == "head.step()"


def _plain(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(20):
        optimizer.zero_grad()
        loss_of(model).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _zeroed_at_the_end(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(20):
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad()


def _accumulated(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for batch in range(24):
        loss_of(model).backward()
        if batch % 4 == 3:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()


def _accumulated_with_the_step_at_the_head(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for batch in range(24):
        if batch % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
        loss_of(model).backward()


def _clipped_in_each_micro_batch(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for batch in range(24):
        loss_of(model).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if batch % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()


def _first_step_to_fill_the_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    optimizer.step()
    _plain(model, optimizer)


def _skipped_where_the_loss_is_large(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for batch in range(20):
        optimizer.zero_grad()
        loss_of(model).backward()
        if batch % 5:
            optimizer.step()


def _gradients_merged_by_hand(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(6):
        merged: list[Tensor] = [torch.zeros_like(each) for each in model.parameters()]
        for _task in range(2):
            optimizer.zero_grad()
            loss_of(model).backward()
            for total, each in zip(merged, model.parameters(), strict=True):
                assert each.grad is not None
                total.add_(each.grad)
        for total, each in zip(merged, model.parameters(), strict=True):
            each.grad = total
        optimizer.step()


def _adversarial_examples(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    def differentiate(inputs: Tensor) -> None:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()

    for _ in range(6):
        inputs = torch.rand(8, 4)
        for _attack in range(2):
            attacked = inputs.clone().requires_grad_()
            differentiate(attacked)
            assert attacked.grad is not None
            inputs = inputs + 0.01 * attacked.grad.sign()
        differentiate(inputs)
        optimizer.step()


def _sharpness_aware(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(6):
        loss_of(model).backward()
        with torch.no_grad():
            moved = [0.05 * each.grad for each in model.parameters() if each.grad is not None]
            for each, by in zip(model.parameters(), moved, strict=True):
                each.add_(by)
        optimizer.zero_grad()
        loss_of(model).backward()
        with torch.no_grad():
            for each, by in zip(model.parameters(), moved, strict=True):
                each.sub_(by)
        optimizer.step()
        optimizer.zero_grad()


def _two_losses_of_one_graph(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(6):
        optimizer.zero_grad()
        output = model(torch.rand(8, 4))
        output[:, 0].mean().backward(retain_graph=True)
        output[:, 1].mean().backward()
        optimizer.step()


def _graph_carried_to_the_next_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    level = torch.zeros(2)
    for _ in range(6):
        optimizer.zero_grad()
        (bias,) = (each for name, each in model.named_parameters() if name == "2.bias")
        level = 0.5 * level + bias
        level.square().mean().backward(retain_graph=True)
        optimizer.step()


def _gradient_penalty(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(6):
        optimizer.zero_grad()
        inputs = torch.rand(8, 4, requires_grad=True)
        output = model(inputs).mean()
        (slope,) = torch.autograd.grad(output, inputs, create_graph=True)
        (output + slope.square().sum()).backward(retain_graph=True)
        optimizer.step()


def _turns_with_one_trunk(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    assert isinstance(model, nn.Sequential)
    head = torch.optim.SGD(model[2].parameters(), lr=0.01)
    for _ in range(6):
        for each in (optimizer, head):
            each.zero_grad()
            loss_of(model).backward()
            each.step()


def _two_parts(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    assert isinstance(model, nn.Sequential)
    parts = [torch.optim.SGD(model[place].parameters(), lr=0.01) for place in (0, 2)]
    for _ in range(6):
        model.zero_grad()
        loss_of(model).backward()
        nn.utils.clip_grad_norm_(model[0].parameters(), 1.0)
        for part in parts:
            part.step()


def _scaled(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    scaler = torch.amp.GradScaler("cpu")
    for step in range(12):
        optimizer.zero_grad()
        loss = loss_of(model) * (torch.inf if step % 3 == 0 else 1.0)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()


def _with_a_closure(model: nn.Module, _: torch.optim.Optimizer) -> None:
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)

    def closure() -> float:
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        return loss.item()

    for _step in range(4):
        optimizer.step(closure)


def _critic_and_generator(model: nn.Module, critic_steps: torch.optim.Optimizer) -> None:
    generator = nn.Linear(4, 4)
    generator_steps = torch.optim.SGD(generator.parameters(), lr=0.01)
    for _ in range(6):
        for _critic in range(3):
            critic_steps.zero_grad()
            fake = generator(torch.rand(8, 4)).detach()
            (model(fake).mean() - model(torch.rand(8, 4)).mean()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            critic_steps.step()
        generator_steps.zero_grad()
        (-model(generator(torch.rand(8, 4))).mean()).backward()
        generator_steps.step()


def _wrapped(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    class Slow(torch.optim.Optimizer):
        def __init__(self, inner: torch.optim.Optimizer) -> None:
            super().__init__([{"params": list(model.parameters())}], {})
            self.inner = inner

        def step(self, closure: Any = None) -> Any:
            return self.inner.step(closure)

    slow = Slow(optimizer)
    for _ in range(6):
        slow.zero_grad()
        loss_of(model).backward()
        slow.step()


@pytest.mark.filterwarnings("ignore:Full backward hook", "ignore:Using backward")
@pytest.mark.parametrize(
    "loop",
    [
        _plain,
        _zeroed_at_the_end,
        _accumulated,
        _accumulated_with_the_step_at_the_head,
        _clipped_in_each_micro_batch,
        _first_step_to_fill_the_state,
        _skipped_where_the_loss_is_large,
        _gradients_merged_by_hand,
        _adversarial_examples,
        _sharpness_aware,
        _two_losses_of_one_graph,
        _graph_carried_to_the_next_step,
        _gradient_penalty,
        _turns_with_one_trunk,
        _two_parts,
        _scaled,
        _with_a_closure,
        _critic_and_generator,
        _wrapped,
    ],
    ids=lambda loop: loop.__name__.strip("_"),
)
def test_a_healthy_loop_is_silent(loop: Loop) -> None:
    assert codes_of(loop) == []


def test_nothing_is_followed_any_more_after_the_first_steps() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    untouched = torch.amp.GradScaler.unscale_
    with tensorcheck.watch(model):
        while_followed = torch.amp.GradScaler.unscale_
        for _ in range(20):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()
        afterwards = torch.amp.GradScaler.unscale_

    assert while_followed is not untouched
    assert afterwards is untouched
