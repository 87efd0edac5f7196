"""TCK706: a batch with NaN or infinity that loses the loss."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding, Severity

LABELS = torch.arange(32) % 3


def rows_with(value: float, sample: int = 13) -> Tensor:
    rows = torch.rand(32, 4, generator=torch.Generator().manual_seed(0))
    rows[sample, 2] = value
    return rows


def findings(batches: Iterable[Any], forward: Callable[[nn.Module, Any], Tensor] | None = None) -> tuple[Finding, ...]:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=lambda _: None, experiments=False) as watch:
        for batch in batches:
            inputs, labels = (batch["x"], batch["y"]) if isinstance(batch, dict) else batch
            optimizer.zero_grad()
            logits = forward(model, inputs) if forward is not None else model(inputs)
            nn.functional.cross_entropy(logits, labels).backward()
            optimizer.step()
    return watch.findings


def loader(rows: Tensor, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(rows, LABELS), batch_size=8, **options)


@pytest.mark.parametrize(("value", "kind"), [(torch.nan, "NaN"), (torch.inf, "infinity"), (-torch.inf, "infinity")])
def test_the_sample_is_named_and_nothing_else_is_found(value: float, kind: str) -> None:
    (found,) = findings(loader(rows_with(value)))
    assert found.rule == "TCK706"
    assert found.severity is Severity.ERROR
    assert found.headline == f"`batch[0]` of `TensorDataset` holds {kind} in sample 13"
    assert found.got == "float32[8, 4] cpu    the first at [5, 2]"


def test_a_shuffled_loader_names_the_sample_too() -> None:
    (found,) = findings(loader(rows_with(torch.nan), shuffle=True))
    assert "in sample 13" in found.headline


def test_a_worker_made_the_batch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks beside threads
        (found,) = findings(loader(rows_with(torch.nan), num_workers=1))
    assert "in sample 13" in found.headline


class Named(Dataset[dict[str, Tensor]]):
    """Rows by name, of which one is divided by nothing."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        row = torch.ones(4)
        if index == 9:
            row = row / 0
        return {"x": row, "y": LABELS[index]}


def test_the_line_of_the_dataset_is_shown() -> None:
    (found,) = findings(DataLoader(Named(), batch_size=4))
    assert found.headline == '`batch["x"]` of `Named` holds infinity in sample 9'
    assert found.site is not None
    assert found.site.code == "row / 0"


def test_numbers_that_the_model_fills_are_silent() -> None:
    assert findings(loader(rows_with(torch.nan)), lambda model, x: model(x.nan_to_num())) == ()


def test_a_loss_that_another_thing_loses_is_not_the_batch() -> None:
    found = findings(loader(rows_with(0.0)), lambda model, x: model(x) / 0 * 0)
    assert found
    assert all(each.rule != "TCK706" for each in found)


def test_a_healthy_training_is_silent() -> None:
    assert findings(loader(rows_with(0.5))) == ()
