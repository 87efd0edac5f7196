"""`tensorcheck fuzz`: it finds the smallest input, and the test that it prints fails."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from tensorcheck.cli.fuzz import _written, fuzz

MODELS = """
import torch
from torch import nn

class Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)

    def forward(self, x):
        return self.layer(x.reshape(-1, 6))

class Log(nn.Module):
    def forward(self, x):
        return torch.log(x.relu())

class Sum(nn.Module):
    def forward(self, x, y):
        return x + y

class Normed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(3, 2), nn.BatchNorm1d(2))

class Large(nn.Module):
    def forward(self, x):
        if (x > 5).any():
            raise ValueError("too large")
        return x

class Highest(nn.Module):
    def forward(self, x):
        return x.max(0).values

class Words(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Embedding(5, 2))
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"models_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def fuzzed(*arguments: str) -> Result:
    return CliRunner().invoke(fuzz, arguments)


@pytest.mark.parametrize(
    ("model", "flags", "why", "made"),
    [
        ("Pairs", ["--input", "batch 3"], "RuntimeError: shape '[-1, 6]' is invalid", "torch.zeros(1, 3)"),
        ("Log", ["--input", "batch 3"], "not finite: `output`", "torch.zeros(1, 3)"),
        (
            "Sum",
            ["--input", "a b", "--input", "a c"],
            "RuntimeError: The size of tensor",
            "torch.zeros(1, 2), torch.zeros(1, 3)",
        ),
        ("Normed", ["--input", "batch 3", "--train"], "ValueError: Expected more than 1 value", "torch.zeros(1, 3)"),
        ("Large", ["--input", "2"], "ValueError: too large", "torch.full((2,), 6.0)"),
        ("Words", ["--input", "3", "--dtype", "int64"], "IndexError: index out of range", "dtype=torch.int64)"),
        ("Highest", ["--input", "batch 3", "--empty"], "IndexError: max()", "torch.zeros(0, 3)"),
    ],
)
def test_the_smallest_input_is_found(models: str, model: str, flags: list[str], why: str, made: str) -> None:
    result = fuzzed(f"{models}:{model}", *flags)
    assert result.exit_code == 1, result.output
    assert f"{models}:{model} breaks: {why}" in result.output
    assert made in result.output.replace("torch.zeros(1, 3), torch.zeros(1, 2)", "torch.zeros(1, 2), torch.zeros(1, 3)")


def test_the_test_that_is_printed_fails_and_passes_once_the_model_is_mended(models: str, tmp_path: Path) -> None:
    (tmp_path / "test_found.py").write_text(fuzzed(f"{models}:Pairs", "--input", "batch 3").output.partition("\n\n")[2])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_found.py"]
    assert "1 failed" in subprocess.run(command, capture_output=True, text=True, check=False).stdout
    source = (tmp_path / f"{models}.py").read_text()
    (tmp_path / f"{models}.py").write_text(
        source.replace("Linear(6, 2)", "Linear(3, 2)").replace("x.reshape(-1, 6)", "x")
    )
    assert "1 passed" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_a_model_that_nothing_breaks_says_so(models: str) -> None:
    result = fuzzed(f"{models}:Sum", "--input", "a b", "--input", "a b", "--examples", "20")
    assert result.exit_code == 0
    assert "took 20 inputs, and none broke it" in result.output


def test_numbers_that_are_not_finite_may_be_answered_with_such(models: str) -> None:
    assert fuzzed(f"{models}:Sum", "--input", "2", "--input", "2", "--nonfinite", "--examples", "50").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["MODELS:Nope", "--input", "2"], "Nope"),
        (["MODELS:Sum", "--input", "a,b"], "separated by spaces"),
        (["MODELS:Sum", "--input", "a", "--dtype", "flaot32"], "did you mean 'float32'"),
        (["MODELS:Sum"], "Missing option '--input'"),
        (["Sum", "--input", "a"], "no module:name"),
    ],
)
def test_wrong_usage_is_told(models: str, arguments: list[str], why: str) -> None:
    result = fuzzed(*[argument.replace("MODELS", models) for argument in arguments])
    assert result.exit_code == 2
    assert why in result.output


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(2, 3),
        torch.zeros(()),
        torch.zeros(0, 3, dtype=torch.int64),
        torch.full((2, 2), 3.0),
        torch.tensor([[1.0, float("nan")], [0.0, float("-inf")]]),
        torch.arange(6).reshape(2, 3),
        torch.eye(9),
        torch.ones(3, dtype=torch.bool),
        torch.tensor([1 + 2j, 0]),
    ],
)
def test_what_is_written_makes_the_tensor(tensor: torch.Tensor) -> None:
    made = eval(_written(tensor), {"torch": torch})  # noqa: S307 - our own
    torch.testing.assert_close(made, tensor, rtol=0, atol=0, equal_nan=True)
