import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.killed import in_a_process, save_forever, start, train

LIKE_NEVER_KILLED = ("model", "best_model", "optimizer", "schedulers", "random", "scaler")


def assert_equal_bits(one: object, other: object) -> None:
    """Equal values, tensors to the last bit, in equal structures."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            assert_equal_bits(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        assert len(one) == len(other)
        for each, its_like in zip(one, other, strict=True):
            assert_equal_bits(each, its_like)
    else:
        assert one == other


def assert_like_never_killed(folder: Path, reference: Path) -> None:
    resumed, whole = (torch.load(path / "last.pth", weights_only=True) for path in (folder, reference))
    for part in LIKE_NEVER_KILLED:
        assert_equal_bits(resumed[part], whole[part])
    assert_equal_bits(*(torch.load(path / "best_model.pth", weights_only=True) for path in (folder, reference)))


SCHEDULES = ("cosine", "step", "plateau", "one-cycle", "none")
MOMENTS = {"in the first epoch": (1, 2), "in a later epoch": (3, 4), "after an epoch": (2, None)}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_and_resumed_training_ends_with_the_same_bits(tmp_path: Path, schedule: str, moment: str) -> None:
    assert in_a_process(train, tmp_path / "whole", schedule, 0) == 0
    assert in_a_process(train, tmp_path / "killed", schedule, 0, MOMENTS[moment]) == -signal.SIGKILL
    assert (tmp_path / "killed" / "last.pth").exists()
    assert in_a_process(train, tmp_path / "killed", schedule, 0) == 0
    assert_like_never_killed(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("moment", MOMENTS)
def test_so_does_one_with_workers(tmp_path: Path, moment: str) -> None:
    assert in_a_process(train, tmp_path / "whole", "cosine", 2) == 0
    assert in_a_process(train, tmp_path / "killed", "cosine", 2, MOMENTS[moment]) == -signal.SIGKILL
    assert in_a_process(train, tmp_path / "killed", "cosine", 2) == 0
    assert_like_never_killed(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "fp16"},
        {"precision": "bf16", "grad_accumulation": 3, "clip_grad_norm": 0.5},
        {"early_stopping": 2},
    ],
    ids=["fp16", "bf16 accumulated and clipped", "early stopping"],
)
def test_so_does_one_with_every_option(tmp_path: Path, options: dict[str, Any]) -> None:
    assert in_a_process(train, tmp_path / "whole", "plateau", 0, None, options) == 0
    assert in_a_process(train, tmp_path / "killed", "plateau", 0, (2, 3), options) == -signal.SIGKILL
    assert in_a_process(train, tmp_path / "killed", "plateau", 0, None, options) == 0
    assert_like_never_killed(tmp_path / "killed", tmp_path / "whole")


def test_so_does_one_that_is_killed_twice(tmp_path: Path) -> None:
    assert in_a_process(train, tmp_path / "whole", "cosine", 0) == 0
    for kill in ((1, 3), (2, 1)):
        assert in_a_process(train, tmp_path / "killed", "cosine", 0, kill) == -signal.SIGKILL
    assert in_a_process(train, tmp_path / "killed", "cosine", 0) == 0
    assert_like_never_killed(tmp_path / "killed", tmp_path / "whole")


def wait_for_a_save(path: Path, before: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not path.exists() or path.stat().st_mtime_ns == before):
        time.sleep(0.001)


def test_a_save_that_is_killed_leaves_the_last_good_file(tmp_path: Path) -> None:
    path, chance = tmp_path / "last.pth", random.Random(0)  # noqa: S311 - no secret
    broken_off = 0
    for first in range(0, 60_000, 1000):
        before = path.stat().st_mtime_ns if path.exists() else 0
        process = start(save_forever, path, first)
        wait_for_a_save(path, before)
        time.sleep(chance.uniform(0.0, 0.03))
        process.kill()
        process.join()
        content = torch.load(path, weights_only=True)
        assert content["number"] >= first
        assert bool((content["tensor"] == content["number"]).all())
        broken_off += (tmp_path / ".last.pth.part").exists()
        assert {file.name for file in tmp_path.iterdir()} <= {"last.pth", ".last.pth.part"}
    assert broken_off > 0
