"""Each planted mistake is found, named and located, and its run leaves its report."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from tensorcheck.cli.train import train
from tensorcheck.training.choices import PLANTS
from tensorcheck.training.plants import PLANTED

SOURCE = Path(__file__).parents[2] / "tensorcheck" / "training" / "plants.py"


class Expected(NamedTuple):
    rule: str
    code: str
    """What the finding's place shows, which stands on one line of `plants.py` alone."""
    exit_code: int
    module: str | None


EXPECTED = {
    "wrong-dtype": Expected("TCK101", "self.head(self.features(images))", 1, "features.0"),
    "wrong-shape": Expected("TCK201", "self.head(features)", 1, "head"),
    "wrong-device": Expected("TCK301", 'self.head(features.to("meta"))', 1, "head"),
    "frozen": Expected("TCK403", "model.requires_grad_(False)", 1, ""),
    "detached": Expected("TCK401", "self.head(features.detach())", 0, "head"),
    "loss-broadcast": Expected("TCK202", "nn.functional.mse_loss(predictions, values.float())", 1, None),
    "not-in-optimizer": Expected("TCK402", "torch.optim.AdamW(head.parameters()", 0, "features.0"),
}


def run_plant(name: str, folder: Path) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(train, ["--plant", name, "--run-dir", str(folder)])
    return result.exit_code, json.loads((folder / "report.json").read_text()), result.output


def lines_with(code: str) -> list[int]:
    return [number for number, line in enumerate(SOURCE.read_text().splitlines(), start=1) if code in line]


# torch warns of the broadcast too.
@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
@pytest.mark.parametrize("name", EXPECTED)
def test_a_planted_mistake_is_found_named_and_located(name: str, tmp_path: Path) -> None:
    expected = EXPECTED[name]
    exit_code, report, output = run_plant(name, tmp_path / "run")
    (found,) = report["findings"]
    assert (found["rule"], found["module"], exit_code) == (expected.rule, expected.module, expected.exit_code)
    assert Path(found["location"]["file"]).name == "plants.py"
    assert found["location"]["line"] in lines_with(expected.code)
    assert f"[{expected.rule}]" in output
    assert "Traceback" not in output
    assert (tmp_path / "run" / "report.html").exists()


def test_a_wrong_dtype_is_traced_back_to_the_loader(tmp_path: Path) -> None:
    _, report, _ = run_plant("wrong-dtype", tmp_path / "run")
    assert any("left the DataLoader as float64" in related["note"] for related in report["findings"][0]["related"])


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
def test_fail_on_warning_fails_for_a_silent_mistake(tmp_path: Path) -> None:
    arguments = ["--plant", "detached", "--run-dir", str(tmp_path / "run"), "--fail-on"]
    assert CliRunner().invoke(train, [*arguments, "warning"]).exit_code == 1


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
def test_fail_on_never_passes_where_the_training_came_to_its_end(tmp_path: Path) -> None:
    arguments = ["--plant", "loss-broadcast", "--run-dir", str(tmp_path / "run"), "--fail-on", "never"]
    assert CliRunner().invoke(train, arguments).exit_code == 0


def test_plant_list_names_every_mistake_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(train, ["--plant", "list"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == list(PLANTS)
    assert not any(tmp_path.iterdir())


def test_the_names_on_the_command_line_are_the_recipes_there_are() -> None:
    assert list(PLANTED) == list(PLANTS) == list(EXPECTED)


def test_a_plant_goes_without_data(tmp_path: Path) -> None:
    result = CliRunner().invoke(train, ["--plant", "frozen", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "--plant makes its mistake with the embedded digits" in result.output
