"""How the best weights are kept and chosen: the mistakes, and the healthy code beside them."""

import copy
import io
import linecache
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.findings import Finding

Keep = Callable[[nn.Module], Any]
Use = Callable[[nn.Module, Any], object]


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = model(torch.rand(8, 4)).square().mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def kept(keep: Keep, use: Use, *, steps: int = 2) -> Sequence[Finding]:
    """What is found where something is kept after a step and used some steps later."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        step(model, optimizer)
        best = keep(model)
        for _ in range(steps):
            step(model, optimizer)
        use(model, best)
    return watch.findings


def load(model: nn.Module, state: Any) -> None:
    model.load_state_dict(state)


def save(model: nn.Module, state: Any) -> None:
    torch.save({"model": state}, io.BytesIO())


@pytest.mark.parametrize(
    "keep",
    [
        lambda model: model.state_dict(),
        lambda model: dict(model.state_dict()),
        lambda model: copy.copy(model.state_dict()),
        lambda model: {name: tensor.cpu() for name, tensor in model.state_dict().items()},
    ],
)
def test_weights_kept_without_a_copy_that_are_loaded_later_are_found(keep: Keep) -> None:
    (finding,) = kept(keep, load)
    assert finding.rule == "TCK515"
    assert finding.site is not None
    assert finding.site.code == "model.state_dict()"
    assert [place.site.code for place in finding.related] == ["model.load_state_dict(state)"]


@pytest.mark.parametrize(
    "keep",
    [
        lambda model: copy.deepcopy(model.state_dict()),
        lambda model: {name: tensor.clone() for name, tensor in model.state_dict().items()},
        lambda model: {name: tensor.detach().numpy().copy() for name, tensor in model.state_dict().items()},
    ],
)
def test_weights_that_are_copied_are_silent(keep: Keep) -> None:
    def use(model: nn.Module, state: Any) -> None:
        model.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})

    assert not kept(keep, use)


def test_weights_that_are_given_back_before_the_next_step_are_silent() -> None:
    assert not kept(lambda model: model.state_dict(), load, steps=0)


def test_a_dictionary_of_weights_in_which_others_were_put_is_silent() -> None:
    def use(model: nn.Module, state: Any) -> None:
        model.load_state_dict(state | {"bias": torch.zeros(1)})

    assert not kept(lambda model: model.state_dict(), use)


def test_the_best_weights_saved_at_the_end_without_a_copy_are_found() -> None:
    def keep(model: nn.Module) -> Any:
        best_weights = model.state_dict()
        return best_weights  # noqa: RET504 - it has to have this name

    assert [finding.rule for finding in kept(keep, save)] == ["TCK515"]


def test_the_present_weights_saved_each_time_are_silent() -> None:
    def keep(model: nn.Module) -> Any:
        state = model.state_dict()
        return state  # noqa: RET504 - it has to have a name

    assert not kept(keep, save)


def test_weights_given_to_a_target_network_are_silent() -> None:
    target = nn.Linear(4, 1)

    assert not kept(lambda model: model.state_dict(), lambda _, state: target.load_state_dict(state))


def test_a_model_that_is_called_the_best_is_no_copy() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    best_loss, best_model = float("inf"), None
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            loss = step(model, optimizer)
            if loss < best_loss:
                best_loss = loss
                best_model = model

    assert best_model is not None
    (finding,) = watch.findings
    assert (finding.rule, finding.help) == ("TCK515", "best_model = copy.deepcopy(model)")


def chosen(source: str) -> list[str]:
    """What is found in a loop that keeps weights by these lines."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    program = f"best = 0.0\nwaited = 0\nfor epoch in range(2):\n    loss = acc = step(model, optimizer)\n{source}"
    names = {"model": model, "optimizer": optimizer, "step": step, "copy": copy}
    filename = f"<loop {hash(source)}>"
    linecache.cache[filename] = (len(program), None, program.splitlines(keepends=True), filename)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        exec(compile(program, filename, "exec"), names)  # noqa: S102 - the test's own
    return [finding.rule for finding in watch.findings]


def test_a_reference_that_is_loaded_after_the_loop_is_found_whether_it_was_the_last_or_not() -> None:
    assert chosen(
        "    if loss < best:\n        best_state = model.state_dict()\n"
        "best_state = model.state_dict()\nmodel.load_state_dict(best_state)\n"
    ) == ["TCK515"]


def test_a_reference_at_which_the_loop_ends_is_silent() -> None:
    assert chosen("    if acc > best:\n        best_state = model.state_dict()\n        break\n") == []


KEEP = "        kept = copy.deepcopy(model.state_dict())\n"


@pytest.mark.parametrize(
    "source",
    [
        f"    if loss > best:\n        best = loss\n{KEEP}",
        f"    if best < loss:\n        best = loss\n{KEEP}",
        f"    if epoch >= 0 and loss >= best:\n        best = loss\n{KEEP}",
        f"    if acc < best:\n        best = acc\n{KEEP}",
        "    if loss > best:\n        best = loss\n        waited = 0\n    else:\n        waited += 1\n",
    ],
)
def test_a_comparison_that_goes_the_wrong_way_round_is_found(source: str) -> None:
    assert chosen(source) == ["TCK516"]


@pytest.mark.parametrize(
    "source",
    [
        f"    if loss < best:\n        best = loss\n{KEEP}",
        f"    if acc > best:\n        best = acc\n{KEEP}",
        "    if loss < best:\n        best = loss\n        waited = 0\n    else:\n        waited += 1\n",
        "    if loss > best:\n        best = loss\n",
        f"    loss = -loss\n    if loss > best:\n        best = loss\n{KEEP}",
        f"    score = loss\n    if score > best:\n        best = score\n{KEEP}",
        f"    worst_loss = best\n    if loss > worst_loss:\n        worst_loss = loss\n{KEEP}",
        f"    if loss > 100:\n        best = loss\n{KEEP}",
    ],
)
def test_comparisons_that_mean_what_they_say_are_silent(source: str) -> None:
    assert chosen(source) == []
