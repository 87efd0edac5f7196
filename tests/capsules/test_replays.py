"""What failed fails the same way once more, in a process that has neither the data nor the loop."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck
from tensorcheck.capsules.archive import CapsuleFile
from tensorcheck.capsules.contents import Capsule
from tensorcheck.findings import Finding

CHECKOUT = Path(__file__).parents[2]


def told(*_: Finding) -> None:
    """Nobody needs to see it."""


def capsule_of(fail: Callable[[], object], folder: Path) -> Path:
    """The one capsule of what fails."""
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises((RuntimeError, ValueError, IndexError, AssertionError)),
        tensorcheck.watch(nn.Identity(), capsule=folder, on_finding=told, experiments=False),
    ):
        fail()
    (capsule,) = folder.glob("*.capsule")
    return capsule


def replay(capsule: Path, *options: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    elsewhere = capsule.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tensorcheck", "replay", str(capsule), *options],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"},
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def held(path: Path) -> Capsule:
    with CapsuleFile(path) as file:
        return file.capsule


def linear() -> Tensor:
    out: Tensor = nn.Linear(4, 1)(torch.rand(2, 5))
    return out


def lstm() -> object:
    return nn.LSTM(4, 8, num_layers=2, bidirectional=True)(torch.rand(5, 2, 4), (torch.zeros(2, 2, 8),) * 2)


def attention() -> object:
    layer = nn.TransformerEncoderLayer(8, 2, batch_first=True).train()
    return layer(torch.rand(2, 5, 8), src_key_padding_mask=torch.zeros(2, 4, dtype=torch.bool))


def batch_norm() -> object:
    return nn.BatchNorm1d(3)(torch.rand(1, 3))


def embedding() -> object:
    return nn.Embedding(10, 4)(torch.tensor([[1, 2], [3, 10]]))


def loss() -> object:
    return nn.CrossEntropyLoss(weight=torch.ones(3))(torch.rand(4, 3), torch.tensor([0, 1, 2, 3]))


def loss_function() -> object:
    return functional.binary_cross_entropy(torch.full((3,), 1.5), torch.ones(3))


def operator() -> object:
    left, right = torch.rand(2, 3), torch.rand(2, 3)
    return left @ right


def augmented() -> object:
    total = torch.zeros(2)
    total += torch.zeros(3)
    return total


def leaf_in_place() -> object:
    weight = torch.zeros(2, requires_grad=True)
    weight += 1
    return weight


def concatenated() -> object:
    rows = [torch.rand(2, 3), torch.rand(2, 4)]
    return torch.cat([rows[0].double(), rows[1]], dim=0)


def beside_a_layer() -> object:
    layer, rows = nn.Linear(4, 3), torch.rand(2, 4)
    return layer(rows) @ torch.rand(4, 3).double()


def viewed() -> object:
    tall = torch.rand(3, 4).t()
    return tall.view(12)


def expanded_in_place() -> object:
    wide = torch.zeros(3, 1).expand(3, 4)
    return wide.add_(1)


def indexed() -> object:
    rows = torch.rand(4, 3)
    return rows[torch.tensor([0, 7])]


def backward_of_a_vector() -> object:
    weight = torch.zeros(3, requires_grad=True)
    return (weight * 2).backward()


def truth() -> object:
    mask = torch.zeros(3)
    if mask:
        return 1
    return 0


def packed() -> object:
    return nn.utils.rnn.pack_padded_sequence(torch.rand(3, 2, 4), torch.tensor([2, 0]))


FAILURES = (
    linear, lstm, attention, batch_norm, embedding, loss, loss_function, operator, augmented, leaf_in_place,
    concatenated, beside_a_layer, viewed, expanded_in_place, indexed, backward_of_a_vector, truth, packed,
)  # fmt: skip


@pytest.mark.parametrize("fail", FAILURES)
def test_it_fails_the_same_way_in_another_process_without_trust(fail: Callable[[], object], tmp_path: Path) -> None:
    path = capsule_of(fail, tmp_path)
    done = replay(path)
    assert done.returncode == 0, (done.stdout, done.stderr, held(path))
    assert "failed the same way" in done.stdout
    assert "--trust" not in done.stdout


def test_a_failure_of_the_graph_is_not_claimed_to_be_repeated(tmp_path: Path) -> None:
    def backward_twice() -> None:
        loss = (torch.ones(1, requires_grad=True) ** 2).sum()
        for _ in range(2):
            loss.backward()

    done = replay(capsule_of(backward_twice, tmp_path))
    assert done.returncode == 3
    assert "it takes the graph, which is not in the capsule" in done.stdout


def test_a_loss_that_raises_nothing_is_found_again(tmp_path: Path) -> None:
    model = nn.Linear(4, 1)
    with warnings.catch_warnings(action="ignore"), tensorcheck.watch(model, capsule=tmp_path, on_finding=told):
        for _ in range(3):
            functional.mse_loss(model(torch.rand(8, 4)), torch.rand(8))
    (path,) = tmp_path.glob("tensorcheck-TCK202-*.capsule")
    done = replay(path)
    assert done.returncode == 0
    assert "mse_loss: failed the same way\n    TCK202 is found again\n" in done.stdout


def test_the_debugger_opens_at_the_call_with_what_it_was_given(tmp_path: Path) -> None:
    done = replay(capsule_of(linear, tmp_path), "--pdb", typed="p args[0].shape, function\nq\n")
    assert "-> result = function(*args, **kwargs)" in done.stdout
    assert "(torch.Size([2, 5]), Linear(in_features=4, out_features=1, bias=True))" in done.stdout
