"""Operands that grow to each other's shape: in losses, in metrics, anywhere; and those whose user wanted all pairs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding

BATCH = 8
Metric = Callable[[Tensor, Tensor], Tensor]
pytestmark = pytest.mark.filterwarnings("ignore:Using a target size")


def rules(watch: tensorcheck.Watch) -> list[str]:
    return [finding.rule for finding in watch.findings if finding.rule in ("TCK202", "TCK213")]


def evaluated(metric: Metric, *, steps: int = 0, outputs: int = 1) -> tensorcheck.Watch:
    """Some steps of healthy training, then an evaluation of labels that are a row."""
    model = nn.Linear(4, outputs)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = TensorDataset(torch.rand(4 * BATCH, 4), torch.randint(2, (4 * BATCH,)))
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(steps):
            model(torch.rand(BATCH, 4)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            for rows, labels in DataLoader(data, BATCH):
                metric(model(rows), labels)
    return watch


@pytest.mark.parametrize("steps", [0, 1, 6])
@pytest.mark.parametrize(
    "metric",
    [
        lambda scores, labels: ((scores > 0) == labels).float().mean(),
        lambda scores, labels: (scores.sigmoid().round() == labels).sum(),
        lambda scores, labels: (labels == (scores > 0).long()).sum() / len(labels),
        lambda scores, labels: (scores > 0).long().eq(labels).float().mean(),
        lambda scores, labels: ((scores > 0) != labels).float().mean(),
    ],
    ids=["mean", "sum", "other side", "method", "error rate"],
)
def test_an_accuracy_of_all_pairs_is_found_in_evaluation(metric: Metric, steps: int) -> None:
    assert rules(evaluated(metric, steps=steps)) == ["TCK202"]


def test_the_column_that_argmax_kept_is_found() -> None:
    watch = evaluated(lambda scores, y: (scores.argmax(1, keepdim=True) == y).sum(), outputs=3)
    (finding,) = watch.findings
    assert finding.help == "scores.argmax(1, keepdim=True).squeeze(1) == y"


@pytest.mark.parametrize(
    "metric",
    [
        lambda scores, labels: ((scores.squeeze(1) > 0) == labels).float().mean(),
        lambda scores, labels: ((scores > 0) == labels.unsqueeze(1)).float().mean(),
        lambda scores, labels: (labels.view(-1, 1) == labels).float().mean(),
        lambda scores, labels: (labels[:, None] == labels).sum(),
        lambda scores, labels: (scores > scores.squeeze(1)).float().mean(),
        lambda scores, labels: ((scores > 0) == labels).sum(0),
        lambda scores, labels: ((scores > 0) == labels).float() @ labels.float(),
        lambda scores, labels: (scores > torch.linspace(0, 1, 5)).float().mean(),
    ],
    ids=["squeezed", "unsqueezed", "view", "none", "own pairs", "of each label", "product", "thresholds"],
)
def test_comparisons_of_all_pairs_that_are_asked_for_are_silent(metric: Metric) -> None:
    assert rules(evaluated(metric)) == []


def trained(loss: Callable[[Tensor, Tensor], Tensor], *, outputs: int = 1) -> tensorcheck.Watch:
    model = nn.Linear(4, outputs)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        loss(model(torch.rand(BATCH, 4)), torch.rand(BATCH)).backward()
        optimizer.step()
    return watch


@pytest.mark.parametrize(
    "loss",
    [
        lambda scores, weights: (scores * weights).mean(),
        lambda scores, weights: functional.mse_loss(scores.detach(), weights + 0.9 * scores),
        lambda scores, weights: torch.maximum(scores, weights).sum(),
    ],
    ids=["weights", "bootstrapped", "maximum"],
)
def test_a_column_that_meets_a_row_by_chance_is_found(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert rules(trained(loss)) == ["TCK213"]


def test_images_whose_channel_is_missing_are_found() -> None:
    model = nn.Conv2d(1, 1, 3, padding=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        (model(torch.rand(BATCH, 1, 6, 6)) * torch.rand(BATCH, 6, 6)).mean().backward()
        optimizer.step()
    assert rules(watch) == ["TCK213"]
    assert watch.findings[0].help == "model(torch.rand(BATCH, 1, 6, 6)).squeeze(1) * torch.rand(BATCH, 6, 6)"


@pytest.mark.parametrize(
    "loss",
    [
        lambda scores, weights: (scores.squeeze(1) * weights).mean(),
        lambda scores, weights: (scores * weights.unsqueeze(1)).mean(),
        lambda scores, weights: (scores * weights[:, None].T).mean(),
        lambda scores, weights: torch.outer(scores.squeeze(1), weights).mean(),
        lambda scores, weights: (scores * weights).sum(1).relu().mean(),
        lambda scores, weights: (scores.mean(1, keepdim=True) * weights).mean(),
        lambda scores, weights: functional.cross_entropy(scores + weights, torch.arange(BATCH)),
        lambda scores, weights: ((scores * weights) * torch.eye(BATCH)).sum(),
        lambda scores, weights: (scores * torch.rand(BATCH + 1)).mean() + 0 * weights.sum(),
    ],
    ids=["squeezed", "unsqueezed", "None", "outer", "one dim", "keepdim", "contrastive", "mask of pairs", "other size"],
)
def test_pairs_that_are_asked_for_are_silent(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert rules(trained(loss)) == []


def test_a_column_of_targets_spelled_in_the_call_is_found_where_a_squeeze_had_made_a_row() -> None:
    def loss(scores: Tensor, prices: Tensor) -> Tensor:
        predicted = scores.squeeze(1)
        return functional.mse_loss(predicted, prices.unsqueeze(1))

    (finding,) = trained(loss).findings
    assert finding.rule == "TCK202"
    assert finding.help == "functional.mse_loss(predicted, prices)"


def test_a_column_of_what_a_loader_gave_is_found_against_a_row() -> None:
    class Row(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 1)

        def forward(self, rows: Tensor) -> Tensor:
            return torch.flatten(self.body(rows))

    model = Row()
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for rows, prices in DataLoader(TensorDataset(torch.rand(16, 4), torch.rand(16)), BATCH):
            predicted = model(rows)
            functional.mse_loss(predicted, prices.unsqueeze(1)).backward()
    assert rules(watch) == ["TCK202"]


def test_a_chosen_value_against_a_bootstrapped_column_is_found() -> None:
    def loss(values: Tensor, rewards: Tensor) -> Tensor:
        actions = torch.zeros(BATCH, 1, dtype=torch.long)
        chosen = values.gather(1, actions).squeeze(1)
        return functional.smooth_l1_loss(chosen, (rewards + 0.9 * values.detach().amax(1)).unsqueeze(1))

    assert rules(trained(loss, outputs=3)) == ["TCK202"]


def test_distances_of_all_pairs_of_two_rows_are_silent() -> None:
    def energy(scores: Tensor, others: Tensor) -> Tensor:
        drawn = scores.mean(1)
        own = functional.l1_loss(drawn, drawn.unsqueeze(1))
        return functional.l1_loss(drawn, others.unsqueeze(1)) - 0.5 * own

    assert rules(trained(energy, outputs=3)) == []
