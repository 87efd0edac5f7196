"""States that are collected while a model is trained: by reference, and as copies."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.findings import Finding

Collect = Callable[[nn.Module, Any, int], None]


def found(collect: Collect, *, epochs: int = 4) -> list[Finding]:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    kept: dict[Any, Any] = {"list": []}
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for epoch in range(epochs):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
            collect(model, kept, epoch)
    return list(watch.findings)


def appended(model: nn.Module, kept: Any, epoch: int) -> None:
    kept["list"].append(model.state_dict())


def appended_within(model: nn.Module, kept: Any, epoch: int) -> None:
    kept["list"].append({"epoch": epoch, "state": model.state_dict()})


def by_epoch(model: nn.Module, kept: Any, epoch: int) -> None:
    kept[epoch] = model.state_dict()


def by_a_name(model: nn.Module, kept: Any, epoch: int) -> None:
    snapshot = dict(epoch=epoch, state=model.state_dict())  # noqa: C408 - as people write it
    kept["list"].append(snapshot)


def snapshot_of(model: nn.Module) -> dict[str, Any]:
    return model.state_dict()


def by_a_function(model: nn.Module, kept: Any, epoch: int) -> None:
    kept["list"].append(snapshot_of(model))


@pytest.mark.parametrize("collect", [appended, appended_within, by_epoch, by_a_name, by_a_function])
def test_states_that_are_collected_by_reference_are_found(collect: Collect) -> None:
    (finding,) = found(collect)
    assert finding.rule == "TCK814"
    assert finding.site is not None
    assert finding.site.code == "model.state_dict()"


def test_one_that_is_loaded_later_is_told_once() -> None:
    def collect(model: nn.Module, kept: Any, epoch: int) -> None:
        kept["list"].append(model.state_dict())
        if epoch == 3:
            model.load_state_dict(kept["list"][0])

    assert [finding.rule for finding in found(collect)] == ["TCK814"]


def copied(model: nn.Module, kept: Any, epoch: int) -> None:
    kept["list"].append(copy.deepcopy(model.state_dict()))


def cloned(model: nn.Module, kept: Any, epoch: int) -> None:
    kept["list"].append({name: value.clone() for name, value in model.state_dict().items()})


def saved_and_filled_anew(model: nn.Module, kept: Any, epoch: int) -> None:
    kept["model"] = model.state_dict()
    torch.save(kept["model"], io.BytesIO())


def saved_each(model: nn.Module, kept: Any, epoch: int) -> None:
    state = {"epoch": epoch, "model": model.state_dict()}
    torch.save(state, io.BytesIO())
    kept["list"].append(f"epoch-{epoch}.pt")


def a_copy_of_the_model(model: nn.Module, kept: Any, epoch: int) -> None:
    twin = copy.deepcopy(model)
    kept["list"].append(twin.state_dict())


def the_last_one_alone(model: nn.Module, kept: Any, epoch: int) -> None:
    kept["list"].clear()
    kept["list"].append(model.state_dict())


def its_norms(model: nn.Module, kept: Any, epoch: int) -> None:
    state = model.state_dict()
    kept["list"].append(sum(float(value.norm()) for value in state.values()))


@pytest.mark.parametrize(
    "collect",
    [copied, cloned, saved_and_filled_anew, saved_each, a_copy_of_the_model, the_last_one_alone, its_norms],
)
def test_copies_and_what_is_saved_at_once_are_silent(collect: Collect) -> None:
    assert not found(collect)
