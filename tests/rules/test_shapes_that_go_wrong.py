"""Shapes that fit and mean something else: reshapes for permutes, orders of flattening, channels, last batches."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding, Severity

BATCH = 8
Forward = Callable[[Tensor], Tensor]


class Applies(nn.Module):
    """One function of what it is given, with a weight so that it can be trained."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.function = forward

    def forward(self, given: Tensor) -> Tensor:
        return self.function(given) * self.scale


def found(model: nn.Module, given: Tensor, loss: Forward | None = None) -> list[Finding]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        output = model(given)
        (loss(output) if loss is not None else output.square().mean()).backward()
        optimizer.step()
    return [finding for finding in watch.findings if finding.rule in WANTED]


WANTED = ("TCK217", "TCK218", "TCK219", "TCK220", "TCK221", "TCK222")
STEPS = torch.rand(BATCH, 20, 6)
HEADS = torch.rand(BATCH, 3, 20, 4)


@pytest.mark.parametrize(
    ("forward", "given", "help_"),
    [
        (lambda x: x.view(len(x), 6, 20), STEPS, "x.transpose(1, 2)"),
        (lambda x: x.reshape(20, len(x), -1), STEPS, "x.transpose(0, 1)"),
        (lambda x: x.view(-1, 3, 28, 28), torch.rand(BATCH, 28, 28, 3), "x.permute(0, 3, 1, 2)"),
        (lambda x: x.reshape(len(x), 20, 12), HEADS, "x.transpose(1, 2).flatten(2)"),
        (lambda x: x.view(len(x), 3, 20, 2), STEPS, "x.unflatten(2, (3, 2)).transpose(1, 2)"),
    ],
    ids=["swapped", "batch and time", "channels", "heads merged", "heads split"],
)
def test_a_reshape_in_place_of_a_permute_is_found(forward: Forward, given: Tensor, help_: str) -> None:
    (finding,) = found(Applies(forward), given)
    assert (finding.rule, finding.severity, finding.help) == ("TCK222", Severity.WARNING, help_)


@pytest.mark.parametrize(
    ("forward", "given", "help_"),
    [
        (lambda x: x.view(len(x), 6, 20), STEPS, "x.transpose(1, 2)"),
        (lambda x: x.reshape(len(x), 20, 12), HEADS, "x.transpose(1, 2).flatten(2)"),
        (lambda x: x.view(len(x), 3, 20, 2), STEPS, "x.unflatten(2, (3, 2)).transpose(1, 2)"),
        (lambda x: x.view(-1, 3, 28, 28), torch.rand(BATCH, 28, 28, 3), "x.permute(0, 3, 1, 2)"),
    ],
)
def test_the_offered_swap_has_the_sizes_that_the_reshape_has(forward: Forward, given: Tensor, help_: str) -> None:
    assert eval(help_, {"x": given}).shape == forward(given).shape  # noqa: S307 - the help is code


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x.transpose(1, 2).reshape(len(x), 6, 20),
        lambda x: x.view(len(x), -1).view(len(x), 6, 20),
        lambda x: x.view(len(x), 20, 3, 2).transpose(1, 2).reshape(len(x), 3, 40),
        lambda x: x.view(len(x), 4, 5, 6),
        lambda x: x.view(len(x), 20, 6, 1).view(len(x), 1, 20, 6),
        lambda x: x.reshape(len(x), 120, 1).reshape(len(x), 1, 120),
        lambda x: x.view(-1, 6).view(len(x), 20, 6),
        lambda x: x.view(len(x), 10, 12),
    ],
)
def test_reshapes_that_keep_the_order_are_silent(forward: Forward) -> None:
    assert found(Applies(forward), STEPS) == []


LABELS = torch.randint(5, (BATCH, 20))


def crossed(flatten: Forward, targets: Forward) -> Forward:
    return lambda logits: functional.cross_entropy(flatten(logits), targets(LABELS))


@pytest.mark.parametrize(
    ("shape", "loss"),
    [
        ((BATCH, 5, 20), crossed(lambda x: x.view(-1, 5), lambda y: y.view(-1))),
        ((20, BATCH, 5), crossed(lambda x: x.reshape(-1, 5), lambda y: y.reshape(-1))),
        ((20, BATCH, 5), crossed(lambda x: x.flatten(0, 1), lambda y: y.flatten())),
    ],
    ids=["classes second", "time first", "flatten"],
)
def test_logits_in_another_order_than_their_targets_are_found(shape: tuple[int, ...], loss: Forward) -> None:
    (finding,) = found(Applies(lambda x: x + 0), torch.rand(shape), loss)
    assert (finding.rule, finding.severity) == ("TCK221", Severity.WARNING)


@pytest.mark.parametrize(
    ("shape", "loss"),
    [
        ((BATCH, 5, 20), crossed(lambda x: x.transpose(1, 2).reshape(-1, 5), lambda y: y.view(-1))),
        ((BATCH, 20, 5), crossed(lambda x: x.view(-1, 5), lambda y: y.view(-1))),
        ((20, BATCH, 5), crossed(lambda x: x.view(-1, 5), lambda y: y.t().reshape(-1))),
        ((20, BATCH, 5), crossed(lambda x: x.transpose(0, 1).flatten(0, 1), lambda y: y.flatten())),
        ((BATCH, 5, 20), crossed(lambda x: x, lambda y: y)),
    ],
    ids=["transposed", "classes last", "targets turned", "logits turned", "whole"],
)
def test_logits_in_the_order_of_their_targets_are_silent(shape: tuple[int, ...], loss: Forward) -> None:
    assert found(Applies(lambda x: x + 0), torch.rand(shape), loss) == []


class Pictures(nn.Module):
    def __init__(self, rows: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(rows, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.conv(images / 255)
        return features


def test_images_with_their_channels_last_are_found_in_the_layer_that_was_built_to_fit() -> None:
    (finding,) = found(Pictures(28), torch.rand(BATCH, 28, 28, 3))
    assert (finding.rule, finding.module, finding.help) == (
        "TCK219",
        "conv",
        "self.conv((images / 255).permute(0, 3, 1, 2))",
    )


@pytest.mark.parametrize("shape", [(BATCH, 3, 28, 28), (BATCH, 22, 200, 1), (BATCH, 64, 30, 3), (BATCH, 4, 4, 4)])
def test_channels_first_electrodes_and_features_are_silent(shape: tuple[int, ...]) -> None:
    assert found(Pictures(shape[1]), torch.rand(shape)) == []


def test_a_single_output_against_class_labels_is_found() -> None:
    (finding,) = found(
        nn.Linear(4, 1), torch.rand(BATCH, 4), lambda x: functional.cross_entropy(x, torch.zeros(8).long())
    )
    assert finding.rule == "TCK220"
    assert finding.help.startswith("nn.functional.binary_cross_entropy_with_logits(x.squeeze(1), ")


def test_the_similarities_of_a_batch_of_one_are_silent() -> None:
    assert found(nn.Linear(4, 1), torch.rand(1, 4), lambda x: functional.cross_entropy(x, torch.zeros(1).long())) == []


def epoch(
    model: nn.Module, samples: int, loss: Callable[[Tensor, Tensor], Tensor], *, drop_last: bool = False, most: int = 2
) -> list[Finding]:
    """The first two batches of an epoch."""
    data = TensorDataset(torch.rand(samples, 6, 4), torch.rand(samples))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for index, (rows, targets) in enumerate(DataLoader(data, BATCH, drop_last=drop_last)):
            if index < most:
                loss(rows, targets).backward()
                optimizer.step()
                optimizer.zero_grad()
    return [finding for finding in watch.findings if finding.rule in WANTED]


@pytest.mark.parametrize(("samples", "drop_last", "rules"), [(33, False, ["TCK217"]), (33, True, []), (36, False, [])])
def test_a_squeeze_is_found_where_one_sample_is_left_over(samples: int, drop_last: bool, rules: list[str]) -> None:  # noqa: FBT001 - a case
    model = nn.Linear(4, 1)

    def loss(rows: Tensor, targets: Tensor) -> Tensor:
        predicted = model(rows[:, 0]).squeeze()
        return functional.mse_loss(predicted, targets)

    findings = epoch(model, samples, loss, drop_last=drop_last)
    assert [finding.rule for finding in findings] == rules
    assert all(finding.help == "model(rows[:, 0]).squeeze(1)" for finding in findings)


def test_a_squeeze_within_the_model_is_found_when_an_evaluation_takes_single_samples() -> None:
    class Squeezing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 1)

        def forward(self, rows: Tensor) -> Tensor:
            score: Tensor = self.body(rows).squeeze()
            return score

    model = Squeezing()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = TensorDataset(torch.rand(32, 4), torch.rand(32))
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for rows, prices in DataLoader(data, BATCH):
            functional.mse_loss(model(rows), prices).backward()
            optimizer.step()
            optimizer.zero_grad()
        for rows, _ in DataLoader(TensorDataset(torch.rand(4, 4), torch.rand(4)), 1):
            with torch.no_grad():
                model(rows)
    assert [finding.rule for finding in watch.findings] == ["TCK217"]


def test_statistics_of_a_single_left_over_sample_are_found() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    findings = epoch(model, 33, lambda rows, _: model(rows[:, 0]).square().mean())
    assert [(finding.rule, finding.module) for finding in findings] == [("TCK218", "1")]


@pytest.mark.parametrize("samples", [32, 34, 33])
def test_statistics_of_several_values_are_silent(samples: int) -> None:
    model = nn.Sequential(nn.Conv1d(6, 3, 1), nn.BatchNorm1d(3))
    assert epoch(model, samples, lambda rows, _: model(rows).square().mean()) == []


class Keeping(nn.Module):
    """A recurrent network that hands its state on from batch to batch, or makes a new one for each."""

    def __init__(self, *, keeps: bool) -> None:
        super().__init__()
        self.rnn = nn.GRU(4, 3, batch_first=True)
        self.state = torch.zeros(1, BATCH, 3)
        self.keeps = keeps

    def forward(self, rows: Tensor) -> Tensor:
        states, last = self.rnn(rows, self.state if self.keeps else torch.zeros(1, len(rows), 3))
        self.state = last.detach()
        output: Tensor = states
        return output


@pytest.mark.parametrize(("samples", "keeps", "rules"), [(35, True, ["TCK218"]), (32, True, []), (35, False, [])])
def test_a_state_for_a_whole_batch_that_is_kept_is_found(samples: int, keeps: bool, rules: list[str]) -> None:  # noqa: FBT001 - a case
    model = Keeping(keeps=keeps)
    findings = epoch(model, samples, lambda rows, _: model(rows).square().mean())
    assert [finding.rule for finding in findings] == rules


def test_a_batch_that_is_written_out_in_a_view_is_found() -> None:
    model = nn.Linear(24, 1)
    findings = epoch(model, 36, lambda rows, _: model(rows.view(8, -1)).square().mean())
    assert [finding.rule for finding in findings] == ["TCK218"]
    assert epoch(model, 36, lambda rows, _: model(rows.view(len(rows), -1)).square().mean()) == []
