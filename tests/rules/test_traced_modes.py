"""Programs that are recorded in training mode and saved, and those that are in the mode that they should be."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.findings import Finding

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch calls TorchScript deprecated


def network(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), *parts, nn.Linear(8, 2))


def traced(model: nn.Module) -> object:
    return torch.jit.trace(model, torch.rand(3, 4), check_trace=False)


def exported(model: nn.Module) -> object:
    return torch.export.export(model, (torch.rand(3, 4),))


def saved(program: object) -> None:
    if isinstance(program, torch.export.ExportedProgram):
        torch.export.save(program, io.BytesIO())
    else:
        torch.jit.save(program, io.BytesIO())


def found(model: nn.Module, record: Callable[[nn.Module], object], keep: Callable[[object], None]) -> Sequence[Finding]:
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        keep(record(model))
    return watch.findings


@pytest.mark.parametrize("record", [traced, exported])
@pytest.mark.parametrize(
    ("part", "words"), [(nn.Dropout(0.1), "1 dropout"), (nn.BatchNorm1d(8), "1 batch normalisation")]
)
def test_a_program_that_trains_for_ever_is_found_where_it_is_recorded(
    part: nn.Module, words: str, record: Callable[[nn.Module], object]
) -> None:
    (finding,) = found(network(part), record, saved)
    assert finding.rule == "TCK811"
    assert words in finding.got
    assert finding.site is not None
    assert finding.site.code.startswith(("torch.jit.trace(", "torch.export.export("))
    assert finding.help == "call model.eval() before this line"


def test_a_traced_model_that_saves_itself_is_found_once(tmp_path: Path) -> None:
    def keep(program: object) -> None:
        assert isinstance(program, torch.jit.ScriptModule)
        program.save(str(tmp_path / "model.pt"))

    assert [finding.rule for finding in found(network(nn.Dropout()), traced, keep)] == ["TCK811"]


class AlwaysDropping(nn.Module):
    """An ensemble by dropout, on purpose."""

    def forward(self, rows: Tensor) -> Tensor:
        return functional.dropout(rows, 0.5, training=True)


@pytest.mark.parametrize("record", [traced, exported])
@pytest.mark.parametrize(
    "model",
    [
        network(nn.Dropout(), nn.BatchNorm1d(8)).eval(),
        network(nn.ReLU()),
        network(nn.LayerNorm(8)),
        network(nn.Dropout(0.0)),
        network(nn.BatchNorm1d(8, track_running_stats=False)),
        network(AlwaysDropping()).eval(),
    ],
    ids=["eval", "relu", "layer_norm", "no_dropout", "no_statistics", "on_purpose"],
)
def test_a_program_that_does_nothing_of_training_is_silent(
    model: nn.Module, record: Callable[[nn.Module], object]
) -> None:
    assert not [each for each in found(model, record, saved) if each.rule == "TCK811"]


@pytest.mark.parametrize("record", [traced, exported])
def test_a_program_that_is_not_saved_is_silent(record: Callable[[nn.Module], object]) -> None:
    assert not found(network(nn.Dropout()), record, lambda program: None)


def test_a_script_keeps_its_mode_and_is_silent() -> None:
    assert not found(network(nn.Dropout()), torch.jit.script, saved)
