"""`tensorcheck diff`, as a person at a shell meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(4):
    loss = nn.functional.cross_entropy(net(torch.rand(4, 6)), torch.tensor([0, 1, 0, 1]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
"""


def tensorcheck(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tensorcheck", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a script, of one with another dropout, and of the first without fingerprints."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "train.py").write_text(SCRIPT)
    (folder / "other.py").write_text(SCRIPT.replace("0.5", "0.25"))
    runs = (("one", "train.py"), ("again", "train.py"), ("other", "other.py"))
    answers = [tensorcheck(folder, "run", "--run-dir", run, "--fingerprint", script) for run, script in runs]
    answers.append(tensorcheck(folder, "run", "--run-dir", "bare", "train.py"))
    assert [answer.returncode for answer in answers] == [0] * 4, answers[-1].stderr
    assert len({answer.stdout for answer in answers}) == 2
    return folder


def test_two_runs_of_one_script_are_the_same(folder: Path) -> None:
    answer = tensorcheck(folder, "diff", "one", "again")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("same: ")


def test_two_scripts_part_where_they_do(folder: Path) -> None:
    answer = tensorcheck(folder, "diff", "one", "other/trace.json")
    assert (answer.returncode, answer.stderr) == (1, "")
    assert "different: values part first in step 0, at `dropout` in `2` (Dropout)" in answer.stdout
    assert " = settings: `2` (Dropout): p=0.5 in the first, p=0.25 in the second" in answer.stdout
    assert "--> second: other.py:9:" in answer.stdout
    assert "\x1b" not in answer.stdout


def test_without_fingerprints_what_is_known_is_compared(folder: Path) -> None:
    answer = tensorcheck(folder, "diff", "one", "bare")
    assert answer.returncode == 0
    assert "values: not compared: both runs need `--fingerprint`" in answer.stdout


def test_json_says_the_same(folder: Path) -> None:
    answer = tensorcheck(folder, "diff", "one", "other", "--format", "json")
    told = json.loads(answer.stdout)
    assert (answer.returncode, told["same"]) == (1, False)
    assert told["first_difference"]["first"]["operation"]["module"] == "2"
    assert told["settings"] == [{"module": "2", "kind": "Dropout", "first": "p=0.5", "second": "p=0.25"}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("one", "nowhere"), "nowhere can't be read"),
        (("one", "train.py"), "train.py is no JSON"),
        (("one", "again", "--rtol", "-1"), "--rtol"),
        (("one",), "SECOND"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    answer = tensorcheck(folder, "diff", *arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr


def test_fingerprints_without_a_folder_for_them_are_wrong_usage(folder: Path) -> None:
    answer = tensorcheck(folder, "run", "--fingerprint", "train.py")
    assert answer.returncode == 2
    assert "--run-dir" in answer.stderr
