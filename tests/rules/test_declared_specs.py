"""`watch(specs=...)`: what is declared of batches and modules holds in every step, or is told."""

import copy
import io
import warnings
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tensorcheck
from tensorcheck import TensorSpec
from tensorcheck.findings import Finding, Severity
from tensorcheck.observe.patches import PATCHES

Specs = Mapping[str, TensorSpec | str]


class Net(nn.Module):
    """An encoder and a head; the answer is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.encoder(x)
        return {"logits": self.head(features), "features": features}


class Rows(Dataset[dict[str, Tensor]]):
    """Sixteen rows, of which the twelfth is of another dtype."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.ones(4), "y": torch.tensor(float(index) if index >= 12 else index)}


def findings(specs: Specs, batches: object, model: nn.Module | None = None) -> list[Finding]:
    model = model or Net()
    with tensorcheck.watch(model, specs=specs, on_finding=lambda _: None, experiments=False) as watch:
        for batch in batches:  # type: ignore[attr-defined]  # a loader or a list
            inputs = batch["x"] if isinstance(batch, dict) else batch[0] if isinstance(batch, list | tuple) else batch
            model(inputs)
    return [found for found in watch.findings if found.rule == "TCK223"]


PAIRS = DataLoader(TensorDataset(torch.ones(16, 4), torch.zeros(16, dtype=torch.int64)), batch_size=8)

HOLDING: list[Specs] = [
    {"batch.0": "batch 4", "batch.1": "batch"},
    {"batch.0": TensorSpec("batch 4", dtype=torch.float32), "batch.1": TensorSpec("batch", dtype="int")},
    {"encoder": "batch 8", "encoder.input": "batch 4", "head.output": "batch 2"},
    {"input": "batch 4", "output.logits": "batch 2", "output": "batch _"},
    {"batch.0": "batch 4", "encoder": TensorSpec("batch 8", requires_grad=True), "output.logits": "batch classes"},
]


@pytest.mark.parametrize("specs", HOLDING)
def test_what_holds_is_silent(specs: Specs) -> None:
    assert findings(specs, PAIRS) == []


@pytest.mark.parametrize(
    ("specs", "headline", "note"),
    [
        (
            {"batch.0": "batch 5"},
            "`batch[0]` is float32[8, 4] and was declared [batch 5]",
            "dim 1 is 4 and should be 5",
        ),
        ({"batch.2": "batch"}, "`batch.2` is missing and was declared [batch]", "there is no such tensor"),
        ({"encoder": "batch 4"}, "the output of `encoder` is float32[8, 8] and was declared [batch 4]", "dim 1 is 8"),
        ({"head.input": "batch 4"}, "the input of `head` is float32[8, 8] and was declared [batch 4]", "dim 1 is 8"),
        (
            {"output.logits": "batch"},
            "the output of the model is float32[8, 2] and was declared [batch]",
            "it has 2 dims",
        ),
        ({"input": TensorSpec("...", dtype="int")}, "the input of the model is float32[8, 4]", "its dtype is float32"),
    ],
)
def test_what_does_not_hold_is_told_once(specs: Specs, headline: str, note: str) -> None:
    (found,) = findings(specs, PAIRS)
    assert found.severity is Severity.ERROR
    assert found.headline.startswith(headline)
    assert any(each.startswith(note) for each in found.notes)
    assert found.count == 2


def test_a_name_is_one_size_within_a_step() -> None:
    (found,) = findings({"batch.0": "n 4", "encoder": "4 n"}, PAIRS)
    assert "dim 1 is 8" not in " ".join(found.notes)
    assert "dim 0 is 8 and should be 4" in found.notes


def test_another_batch_size_in_the_next_step_is_fine() -> None:
    loader = DataLoader(TensorDataset(torch.ones(11, 4)), batch_size=4)
    assert findings({"batch.0": "batch 4", "encoder": "batch 8"}, loader) == []


def test_without_a_loader_each_call_is_a_step() -> None:
    assert findings({"input": "batch 4", "encoder": "batch 8"}, [torch.ones(8, 4), torch.ones(3, 4)]) == []


def test_the_batch_and_its_samples_are_named() -> None:
    (found,) = findings({"batch.y": TensorSpec("batch", dtype=torch.int64)}, DataLoader(Rows(), batch_size=4))
    assert found.headline == '`batch["y"]` is float32[4] and was declared int64[batch]'
    assert "it is batch 3 of its pass, with the samples 12, 13, 14, 15" in found.notes
    assert found.related[0].note == "it is declared here"


def test_the_samples_of_workers_are_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks beside threads
        loader = DataLoader(Rows(), batch_size=4, num_workers=1)
        (found,) = findings({"batch.y": TensorSpec("batch", dtype=torch.int64)}, loader)
    assert "it is batch 3 of its pass, with the samples 12, 13, 14, 15" in found.notes


@pytest.mark.parametrize(
    ("specs", "why"),
    [
        ({"encodr": "batch"}, "did you mean 'encoder'"),
        ({"encoder.weight": "batch"}, "no module 'encoder.weight'"),
        ({"encoder": "batch, 8"}, "separated by spaces"),
        ({"": "batch"}, "no module ''"),
    ],
)
def test_a_key_or_a_spec_that_can_not_be_meant_is_refused(specs: Specs, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        tensorcheck.watch(Net(), specs=specs)
    assert PATCHES.is_empty()


def test_a_module_called_batch_is_the_module() -> None:
    model = nn.Sequential()
    model.add_module("batch", nn.Linear(4, 2))
    (found,) = findings({"batch": "n 3"}, PAIRS, model)
    assert found.module == "batch"


def test_it_can_raise_where_it_is_found() -> None:
    model = Net()
    with (
        pytest.raises(tensorcheck.FindingError),
        tensorcheck.watch(model, specs={"encoder": "n 4"}, raise_on="error", on_finding=lambda _: None),
    ):
        model(torch.ones(2, 4))
    assert PATCHES.is_empty()


def test_a_model_is_saved_and_copied_as_without_us() -> None:
    model = Net()
    with tensorcheck.watch(model, specs={"encoder": "batch 8"}):
        model(torch.ones(2, 4))
        assert not model.encoder._forward_hooks
        file = io.BytesIO()
        torch.save(model, file)
        assert b"tensorcheck" not in file.getvalue().replace(__name__.encode(), b"")
        copy.deepcopy(model)(torch.ones(2, 4))


def test_a_copy_of_a_watched_module_is_held_to_nothing() -> None:
    model = Net()
    other = copy.deepcopy(model)
    other.encoder = nn.Linear(4, 8, dtype=torch.float64)
    with tensorcheck.watch(model, specs={"encoder": TensorSpec("batch 8", dtype=torch.float32)}) as watch:
        other.encoder(torch.ones(2, 4, dtype=torch.float64))
    assert watch.findings == ()
