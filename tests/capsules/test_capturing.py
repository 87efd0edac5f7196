"""What is written into a capsule, when, and under which name."""

import gc
import os
import subprocess
import sys
import textwrap
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.capsules.archive import CapsuleFile
from tests.capsules.test_replays import CHECKOUT, capsule_of, held, linear, replay, told

HEAD = """
import torch
from torch import nn
from torch.nn import functional
"""


def run(folder: Path, source: str, *options: str) -> "subprocess.CompletedProcess[str]":
    (folder / "train.py").write_text(HEAD + textwrap.dedent(source))
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tensorcheck", "run", *options, "train.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


NET = """
    from blocks import Head
    WIDTH = 8

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, WIDTH)
            self.head = Head()

        def forward(self, x, *, scale=1):
            return self.head(self.first(x)) * scale

    print("built")
    Net()(torch.rand(2, 4), scale=2)
"""
BLOCKS = """
import torch
from torch import nn

class Head(nn.Module):
    def forward(self, x):
        if x.shape[1] != 9:
            raise ValueError(f"{x.shape[1]} features")
        return x
"""


def test_a_model_of_the_users_runs_with_trust_alone_and_without_its_script(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    done = run(tmp_path, NET, "--capsule")
    assert " = capsule: tensorcheck replay tensorcheck-crash-" in done.stderr
    (path,) = tmp_path.glob("*.capsule")
    (tmp_path / "blocks.py").unlink()
    refused, trusted = replay(path), replay(path, "--trust")
    assert refused.returncode == 3
    assert "class Head(nn.Module):" in refused.stdout
    assert 'print("built")' not in refused.stdout
    assert refused.stdout.endswith("nothing was repeated\n")
    assert trusted.returncode == 0, trusted.stdout
    assert "Net: failed the same way\n    ValueError: 8 features\n" in trusted.stdout


def test_a_healthy_script_writes_no_capsule(tmp_path: Path) -> None:
    done = run(tmp_path, "nn.Linear(4, 1)(torch.rand(2, 4)).sum().backward()", "--capsule")
    assert done.returncode == 0
    assert [file.name for file in tmp_path.iterdir()] == ["train.py"]


CAUGHT = """
    net = nn.Linear(4, 1)
    for width in (5, 4):
        try:
            net(torch.rand(2, width)).sum().backward()
        except RuntimeError:
            pass
"""


def test_an_exception_that_the_script_handled_leaves_no_capsule(tmp_path: Path) -> None:
    run(tmp_path, CAUGHT, "--capsule")
    assert not list(tmp_path.glob("*.capsule"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--capsule=bug.capsule"], "bug.capsule"),
        (["--capsule", "bug.capsule"], "bug.capsule"),
        (["--run-dir", "out", "--capsule", "--quiet"], "out/tensorcheck-TCK201-*.capsule"),
    ],
)
def test_the_file_is_where_it_was_asked_for(tmp_path: Path, options: list[str], name: str) -> None:
    run(tmp_path, "nn.Linear(4, 1)(torch.rand(2, 5))", *options)
    assert len(list(tmp_path.glob(name))) == 1
    assert len(list(tmp_path.rglob("*.capsule"))) == 1


def test_weights_are_written_where_they_are_asked_for_alone(tmp_path: Path) -> None:
    for name, options in (("without", []), ("with", ["--with-weights"])):
        run(tmp_path, "nn.Linear(4, 1)(torch.rand(2, 5))", f"--capsule={name}.capsule", *options)
    without, whole = held(tmp_path / "without.capsule"), held(tmp_path / "with.capsule")
    assert [tensor.without for tensor in without.tensors if tensor.is_parameter] == ["weights are left out"] * 2
    assert [tensor.has_values for tensor in whole.tensors if tensor.is_parameter] == [True, True]
    assert replay(tmp_path / "with.capsule").returncode == 0


def test_a_large_input_is_described_and_others_of_its_range_stand_for_it(tmp_path: Path) -> None:
    rows = torch.arange(5_000_000, dtype=torch.float32).reshape(-1, 5)
    path = capsule_of(lambda: nn.Linear(4, 1)(rows), tmp_path)
    (given,) = [tensor for tensor in held(path).tensors if tensor.shape == rows.shape]
    assert (given.has_values, given.lowest, given.highest) == (False, 0.0, 4_999_999.0)
    assert path.stat().st_size < 100_000
    done = replay(path)
    assert done.returncode == 0
    assert "19 MiB are more than the 16 that one tensor may have; from 0 to 5e+06, mean 2.5e+06" in done.stdout
    assert "other values of the same range stood for them" in done.stdout


def test_what_cannot_be_captured_is_said_in_words(tmp_path: Path) -> None:
    class Local(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 1)
            self.scale: Callable[[torch.Tensor], torch.Tensor] = lambda rows: rows * 2

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.fc(self.scale(rows))
            return out

    path = capsule_of(lambda: Local()(torch.rand(2, 5)), tmp_path)
    assert "`Local.scale` is a lambda, which is not in the capsule" in held(path).notes
    assert "`Local` (Local) can't be made anew: its class is defined inside a function" in held(path).notes
    assert replay(path, "--trust").returncode == 0


def test_each_failure_is_written_once(tmp_path: Path) -> None:
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model, capsule=tmp_path, on_finding=told, experiments=False):
        for _ in range(2):
            with pytest.raises(RuntimeError) as caught:
                model(torch.rand(2, 5))
    (path,) = tmp_path.glob("*.capsule")
    assert path.name.startswith("tensorcheck-TCK201-")
    assert not any(" = capsule: " in note for note in caught.value.__notes__)


def test_random_numbers_and_inputs_are_as_before_and_nothing_is_kept_alive(tmp_path: Path) -> None:
    model, rows = nn.Linear(4, 1), torch.rand(8, 4)
    target = torch.rand(8)
    before, copied = torch.get_rng_state(), rows.clone()
    with warnings.catch_warnings(action="ignore"), tensorcheck.watch(model, capsule=tmp_path, on_finding=told) as watch:
        nn.functional.mse_loss(model(rows), target)
        kept = weakref.ref(target)
        del target
        gc.collect()
        assert kept() is None
    assert [finding.rule for finding in watch.findings] == ["TCK202"]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(rows, copied)


def test_random_numbers_are_those_of_the_failure(tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    path = capsule_of(lambda: nn.Linear(4, 1)(torch.zeros(2, 5)), tmp_path)
    with CapsuleFile(path) as file:
        number = file.capsule.surroundings.torch_rng
        assert number is not None
        stored = torch.frombuffer(bytearray(file.values(number)), dtype=torch.uint8)
    assert not torch.equal(stored, state)  # the layer drew its weights
    torch.set_rng_state(stored)


def test_a_folder_that_cannot_be_written_is_told_and_the_exception_is_the_same(tmp_path: Path) -> None:
    model = nn.Linear(4, 1)
    watch = tensorcheck.watch(model, capsule=tmp_path / "gone" / "bug.capsule", on_finding=told)
    with pytest.raises(RuntimeError, match="mat1 and mat2"), watch:
        model(torch.rand(2, 5))
    told_of = {skipped.what: skipped.why for skipped in watch.report.record.coverage.skipped}
    assert told_of["capsule"] == "it could not be written: the folder of the capsule does not exist"


def test_no_capsule_is_written_where_none_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError), tensorcheck.watch(nn.Identity(), on_finding=told, experiments=False):
        linear()
    assert not list(tmp_path.iterdir())
