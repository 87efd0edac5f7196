"""The command `tensorcheck preflight`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tensorcheck.cli.main import main

MODELS = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))

def sized(features):
    return nn.Linear(features, 1)

not_callable = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "some_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["preflight", *words])


@pytest.mark.usefixtures("folder")
def test_a_step_that_passes_has_a_table_and_its_bytes() -> None:
    words = ("--input", "batch=4 3 8 8", "--target", "batch", "--loss", "cross_entropy", "--optimizer", "AdamW")
    result = check("some_models:Net", *words)

    assert result.exit_code == 0, result.output
    assert "float32[4, 192] meta" in result.output
    assert "1,930 parameters, all of them trainable" in result.output
    assert "the forward, the loss, the backward and the optimizer step pass" in result.output


@pytest.mark.usefixtures("folder")
def test_a_step_that_fails_makes_the_exit_code() -> None:
    words = ("some_models:Net", "--input", "batch 3 9 9", "--target", "batch", "--loss", "cross_entropy")

    assert check(*words).exit_code == 1
    assert "TCK201" in check(*words).output
    assert check(*words, "--fail-on", "never").exit_code == 0


def test_a_report_is_written(folder: Path) -> None:
    result = check("some_models:Net", "--input", "batch 3 8 8", "--dtype", "float64", "--report", "report.json")

    report = json.loads((folder / "report.json").read_text())
    assert result.exit_code == 1
    assert [finding["rule"] for finding in report["findings"]] == ["TCK101"]
    assert report["preflight"]["parameters"] == 1930


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("some_models:Net", "--input", "batch 3 h w"), "'h' has no size: write h=…\n  batch 3 h w\n          ^"),
        (("some_models:Net", "--input", "batch 3 8 8,8"), "'8,8' is no dimension"),
        (("some_models:Net", "--input", "batch=4 3 8 8", "--target", "batch=5"), "'batch' is 4 elsewhere"),
        (("some_models:sized", "--input", "batch 3"), "some_models:sized needs features"),
        (("some_models:not_callable", "--input", "batch 3"), "is int and can't be called"),
        (("some_models:Nets", "--input", "batch 3"), "Nets"),
        (("some_models", "--input", "batch 3"), "is no module:name"),
        (("no_such_module:Net", "--input", "batch 3"), "no_such_module"),
        (("some_models:Net", "--input", "batch 3 8 8", "--dtype", "float31"), "'float31' is no dtype"),
        (("some_models:Net", "--input", "batch 3 8 8", "--loss", "entropy"), "has no 'entropy'"),
        (("some_models:Net", "--input", "batch 3 8 8", "--loss", "cross_entropy"), "--loss needs a --target"),
        (("some_models:Net", "--input", "batch 3 8 8", "--input", "batch"), "too many positional arguments"),
        (("some_models:Net", "--input", "batch 3 8 8", "--report", "report.doc"), "report.doc"),
    ],
)
def test_wrong_usage_is_told(words: tuple[str, ...], said: str) -> None:
    result = check(*words)

    assert result.exit_code == 2
    assert said in result.output
