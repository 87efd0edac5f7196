"""Dropout that heeds no mode, training that never leaves evaluation, and outputs that heed no input."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.findings import Finding

LABELS = torch.ones(5, dtype=torch.long)
Forward = Callable[["Model", Tensor], Tensor]


class Model(nn.Module):
    """A linear layer, and a function of it and its input."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.head, self.table, self.of = nn.Linear(4, 2), nn.Parameter(torch.rand(8, 2)), forward
        self.drop = nn.Dropout(0.5)

    def forward(self, rows: Tensor) -> Tensor:
        return self.of(self, rows)


def evaluated(forward: Forward, *, prepare: Callable[[Model], object] = nn.Module.eval) -> list[str]:
    model = Model(forward)
    prepare(model)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch, torch.no_grad():
        model(torch.rand(8, 4))
    return [finding.rule for finding in watch.findings]


def attend(model: Model, rows: Tensor) -> Tensor:
    part = model.head(rows)[None]
    result: Tensor = functional.scaled_dot_product_attention(part, part, part, dropout_p=0.1)[0]
    return result


def attend_by_mode(model: Model, rows: Tensor) -> Tensor:
    part = model.head(rows)[None]
    p = 0.1 if model.training else 0.0
    result: Tensor = functional.scaled_dot_product_attention(part, part, part, dropout_p=p)[0]
    return result


@pytest.mark.parametrize(
    "forward",
    [
        lambda model, rows: model.head(functional.dropout(rows)),
        lambda model, rows: functional.dropout(model.head(rows), p=0.3),
        lambda model, rows: functional.dropout2d(model.head(rows)[None, None])[0, 0],
        attend,
    ],
)
def test_dropout_that_heeds_no_mode_is_found(forward: Forward) -> None:
    assert evaluated(forward) == ["TCK505"]


@pytest.mark.parametrize(
    "forward",
    [
        lambda model, rows: model.head(functional.dropout(rows, training=model.training)),
        lambda model, rows: model.head(functional.dropout(rows, 0.5, True)),
        lambda model, rows: model.head(functional.dropout(rows, training=True)),
        lambda model, rows: model.head(functional.dropout(rows, 0.0)),
        lambda model, rows: model.head(model.drop(rows)),
        attend_by_mode,
    ],
)
def test_dropout_that_heeds_the_mode_or_says_so_is_silent(forward: Forward) -> None:
    assert evaluated(forward) == []


def test_dropout_of_a_model_in_training_is_silent() -> None:
    assert evaluated(lambda model, rows: model.head(functional.dropout(rows)), prepare=nn.Module.train) == []


def test_a_dropout_layer_that_is_on_in_evaluation_on_purpose_is_silent() -> None:
    def prepare(model: Model) -> None:
        model.eval()
        model.drop.train()

    assert evaluated(lambda model, rows: model.head(model.drop(rows)), prepare=prepare) == []


def trained(forward: Forward, *, steps: int = 3, rows: Tensor | None = None) -> Sequence[Finding]:
    model = Model(forward)
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.01)
    model.table.requires_grad = False
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.rand(8, 4) if rows is None else rows).square().mean().backward()
            optimizer.step()
    return watch.findings


@pytest.mark.parametrize(
    "forward",
    [
        lambda model, rows: model.head(rows * 0),
        lambda model, rows: model.head(torch.ones_like(rows)) + 1,
        lambda model, rows: model.head((rows - 100).relu()),
    ],
)
def test_an_output_that_does_not_depend_on_the_input_is_found(forward: Forward) -> None:
    (finding,) = trained(forward)
    assert finding.rule == "TCK519"


def zero_at_first(model: Model, rows: Tensor) -> Tensor:
    if not hasattr(model, "was_zeroed"):
        vars(model)["was_zeroed"] = True
        nn.init.zeros_(model.head.weight)
    out: Tensor = model.head(rows)
    return out - 1


@pytest.mark.parametrize(
    "forward",
    [
        lambda model, rows: model.head(rows),
        lambda model, rows: model.head(rows * 0) * 0,
        lambda model, rows: model.head(rows[:1]).expand(8, 2),
        lambda model, rows: model.head(rows).mean(),
        lambda model, rows: model.table + model.head(rows).mean(),
        zero_at_first,
    ],
)
def test_outputs_that_depend_on_the_input_or_are_meant_are_silent(forward: Forward) -> None:
    assert not trained(forward)


def test_equal_samples_have_equal_outputs() -> None:
    assert not trained(lambda model, rows: model.head(rows), rows=torch.ones(8, 4))


def test_two_steps_are_too_few_to_call_an_output_constant() -> None:
    assert not trained(lambda model, rows: model.head(rows * 0), steps=2)


def train_after(prepare: Callable[[nn.Module], object]) -> list[str]:
    """What is found where something is done before three steps in which nobody sets a mode."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        prepare(model)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    return [finding.rule for finding in watch.findings]


@torch.no_grad()
def evaluate(model: nn.Module) -> None:
    model.eval()
    model(torch.rand(8, 4))


def evaluate_and_go_on(model: nn.Module) -> None:
    evaluate(model)
    model.train()


def evaluate_and_freeze(model: nn.Module) -> None:
    evaluate(model)
    model.eval()


def test_an_evaluation_before_the_training_that_leaves_its_mode_is_found() -> None:
    assert train_after(evaluate) == ["TCK502"]


@pytest.mark.parametrize("prepare", [evaluate_and_go_on, evaluate_and_freeze, nn.Module.eval])
def test_modes_that_are_set_for_the_training_are_silent(prepare: Callable[[nn.Module], object]) -> None:
    assert train_after(prepare) == []


def test_a_model_that_is_mapped_over_a_batch_is_not_asked_for_values() -> None:
    model = Model(lambda model, rows: model.head(rows * 0))
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            losses = torch.func.vmap(lambda rows: functional.cross_entropy(model(rows), LABELS))
            losses(torch.rand(8, 5, 4)).mean().backward()
            optimizer.step()
    assert list(watch.findings) == []
