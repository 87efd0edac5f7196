"""Evaluations in the wrong mode or over the wrong data, and the healthy code that looks like them."""

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler, TensorDataset, random_split

import tensorcheck
from tensorcheck.findings import Finding

Loader = DataLoader[Tensor]
Evaluate = Callable[[nn.Module], object]


def rows(count: int = 16) -> Dataset[Tensor]:
    return torch.rand(count, 4)  # type: ignore[return-value]  # a loader takes anything with a length and items


def dropping() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))


def train(model: nn.Module, loader: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> None:
    for batch in loader:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()


def epochs(model: nn.Module, evaluate: Evaluate, loader: Loader | None = None) -> list[str]:
    """What is found in two epochs, each followed by an evaluation."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batches = DataLoader(rows(), batch_size=8) if loader is None else loader
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(2):
            model.train()
            train(model, batches, optimizer)
            evaluate(model)
    return [finding.rule for finding in watch.findings]


HELD_OUT = DataLoader(rows(), batch_size=8)


@torch.no_grad()
def forget_mode(model: nn.Module) -> float:
    return sum(float(model(batch).mean()) for batch in HELD_OUT)


@torch.no_grad()
def set_mode(model: nn.Module) -> float:
    model.eval()
    return sum(float(model(batch).mean()) for batch in HELD_OUT)


@torch.no_grad()
def several_times(model: nn.Module) -> Tensor:
    return torch.stack([torch.stack([model(batch) for _ in range(3)]).std(0).mean() for batch in HELD_OUT])


@torch.no_grad()
def on_purpose(model: nn.Module) -> list[Tensor]:
    model.train()
    return [model(batch) for batch in HELD_OUT]


@torch.no_grad()
def estimate_statistics(model: nn.Module) -> None:
    for batch in HELD_OUT:
        model(batch)


def update_statistics(model: nn.Module) -> None:
    torch.optim.swa_utils.update_bn(HELD_OUT, model)


@torch.no_grad()
def sample(model: nn.Module) -> Tensor:
    made: Tensor = model(torch.rand(8, 4))
    return made


def test_an_evaluation_that_forgets_the_mode_is_found() -> None:
    assert epochs(dropping(), forget_mode) == ["TCK504"]


@pytest.mark.parametrize(
    "evaluate", [set_mode, several_times, on_purpose, estimate_statistics, update_statistics, sample]
)
def test_what_is_no_evaluation_in_train_mode_is_silent(evaluate: Evaluate) -> None:
    assert epochs(dropping(), evaluate) == []


def test_a_model_without_dropout_or_batch_norm_has_one_mode() -> None:
    assert epochs(nn.Sequential(nn.Linear(4, 1), nn.Dropout(0.0)), forget_mode) == []


def test_pseudo_labels_within_a_training_step_are_silent() -> None:
    model, unlabelled = dropping(), DataLoader(rows(), batch_size=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for batch, more in zip(DataLoader(rows(), batch_size=8), unlabelled, strict=True):
            with torch.no_grad():
                labels = model(more)
            optimizer.zero_grad()
            (model(batch).square().mean() + (model(more) - labels).square().mean()).backward()
            optimizer.step()
    assert list(watch.findings) == []


def beside(evaluate: Callable[[nn.Module, Tensor], object]) -> list[str]:
    """What is found where a model is trained on one tensor, without a loader, and evaluated after."""
    model, inputs = dropping(), torch.rand(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(2):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            evaluate(model, inputs)
    return [finding.rule for finding in watch.findings]


def test_a_loss_on_other_data_in_train_mode_is_found() -> None:
    assert beside(lambda model, _: functional.mse_loss(model(torch.rand(8, 4)), torch.rand(8, 1))) == ["TCK504"]


def test_a_loss_on_the_training_input_in_a_line_search_is_silent() -> None:
    assert beside(lambda model, inputs: functional.mse_loss(model(inputs), torch.rand(8, 1))) == []


def test_samples_of_a_generator_are_silent() -> None:
    assert beside(lambda model, _: model(torch.rand(8, 4)).mean()) == []


def test_an_eval_without_parentheses_is_named() -> None:
    model = dropping()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        train(model, DataLoader(rows(), batch_size=8), optimizer)
        model.eval  # noqa: B018 - the mistake
        with torch.no_grad():
            for batch in HELD_OUT:
                scores = model(batch)
    assert scores.shape == (8, 1)
    (finding,) = watch.findings
    assert finding.site is not None
    assert (finding.rule, finding.site.code, finding.help) == ("TCK504", "model(batch)", "model.eval()")


@torch.no_grad()
def measure(model: nn.Module, loader: Iterable[Tensor]) -> float:
    return sum(float(model(batch).mean()) for batch in loader)


@torch.no_grad()
def validate(model: nn.Module, batches: Iterable[Tensor]) -> float:
    total = 0.0
    for batch in batches:
        total += model(batch).mean().item()
    return total


DATA = rows()
TRAIN_LOADER: Loader = DataLoader(DATA, batch_size=8, shuffle=True)


def called_validation_by_its_name(model: nn.Module) -> None:
    val_loader: Loader = DataLoader(DATA, batch_size=8)
    measure(model, val_loader)


def called_validation_by_the_result(model: nn.Module) -> None:
    val_error = measure(model, TRAIN_LOADER)
    assert val_error is not None


def called_validation_by_the_function(model: nn.Module) -> None:
    validate(model, TRAIN_LOADER)


@pytest.mark.parametrize(
    "evaluate",
    [called_validation_by_its_name, called_validation_by_the_result, called_validation_by_the_function],
)
def test_a_validation_on_the_training_data_is_found(evaluate: Evaluate) -> None:
    assert epochs(nn.Linear(4, 1), evaluate, TRAIN_LOADER) == ["TCK517"]


def the_training_error(model: nn.Module) -> None:
    error = measure(model, TRAIN_LOADER)
    assert error is not None


def called_training_by_the_result(model: nn.Module) -> None:
    train_error = validate(model, TRAIN_LOADER)
    assert train_error is not None


def beside_the_validation(model: nn.Module) -> None:
    validate(model, TRAIN_LOADER)
    validate(model, HELD_OUT)


def a_part_of_the_dataset(model: nn.Module) -> None:
    val_loader: Loader = DataLoader(DATA, batch_size=8, sampler=SubsetRandomSampler(range(8)))
    measure(model, val_loader)


@pytest.mark.parametrize(
    "evaluate",
    [the_training_error, called_training_by_the_result, beside_the_validation],
)
def test_an_honest_look_at_the_training_data_is_silent(evaluate: Evaluate) -> None:
    assert epochs(nn.Linear(4, 1), evaluate, TRAIN_LOADER) == []


def test_a_part_of_the_training_data_is_left_to_the_rule_about_samples() -> None:
    assert epochs(nn.Linear(4, 1), a_part_of_the_dataset, TRAIN_LOADER) == ["TCK712"]


def test_the_folds_of_a_cross_validation_are_silent() -> None:
    model = nn.Linear(4, 1)
    folds = random_split(TensorDataset(torch.rand(16, 4)), [8, 8])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for train_set, val_set in (folds, folds[::-1]):
            train_loader, val_loader = (DataLoader(fold, batch_size=8) for fold in (train_set, val_set))
            train(model, (batch for (batch,) in train_loader), optimizer)
            validate(model, (batch for (batch,) in val_loader))
    assert list(watch.findings) == []
