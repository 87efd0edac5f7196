import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tensorcheck.training import CheckpointError, classification_metrics
from tensorcheck.training.atomic import check_writable, save, write_text
from tensorcheck.training.checkpoints import copy_weights
from tensorcheck.training.randomness import random_state, restore_random_state
from tests.training.killed import disk_full_after_one_epoch, in_a_process
from tests.training.setups import Setup

NewSetup = Callable[..., Setup]


@pytest.fixture
def run(setup: Setup, tmp_path: Path) -> Path:
    """The folder of a finished training of two epochs."""
    setup.fit(epochs=2, checkpoint_dir=tmp_path / "run", metrics=classification_metrics(4))
    return tmp_path / "run"


def test_a_training_leaves_its_three_checkpoints_and_nothing_else(run: Path) -> None:
    assert {file.name for file in run.iterdir()} == {"best_model.pth", "model_complete.pth", "last.pth"}


def test_the_best_weights_load_alone_and_the_whole_model_with_its_class(run: Path, setup: Setup) -> None:
    weights = torch.load(run / "best_model.pth", weights_only=True)
    model = torch.load(run / "model_complete.pth", weights_only=False)
    assert isinstance(model, nn.Sequential)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert weights.keys() == setup.model.state_dict().keys()


def test_a_copy_of_the_weights_does_not_follow_the_model(setup: Setup) -> None:
    kept = copy_weights(setup.model)
    before = kept["0.weight"].clone()
    setup.fit(epochs=1)
    assert torch.equal(kept["0.weight"], before)


def test_a_longer_training_goes_on_from_a_shorter_one(run: Path, new_setup: NewSetup) -> None:
    whole, extended = new_setup(), new_setup()
    result = extended.fit(epochs=4, resume=run, metrics=classification_metrics(4))
    whole.fit(epochs=4, metrics=classification_metrics(4))
    assert [record.epoch for record in result.history.epochs] == [1, 2, 3, 4]
    assert torch.equal(extended.weight, whole.weight)


def test_a_training_that_is_over_resumes_to_its_end(run: Path, new_setup: NewSetup) -> None:
    setup = new_setup()
    result = setup.fit(epochs=2, resume=run / "last.pth")
    assert len(result.history.epochs) == 2
    assert torch.equal(setup.weight, torch.load(run / "best_model.pth", weights_only=True)["0.weight"])


def refused(setup: Setup, message: str, **options: Any) -> None:
    before = copy_weights(setup.model)
    with pytest.raises(CheckpointError, match=message) as caught:
        setup.fit(**options)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in setup.model.state_dict().items())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_checkpoint_cut_short_is_refused(run: Path, new_setup: NewSetup, share: float) -> None:
    content = (run / "last.pth").read_bytes()
    (run / "last.pth").write_bytes(content[: int(share * len(content))])
    refused(new_setup(), r"last\.pth is cut short, or is no checkpoint", resume=run)


def test_a_checkpoint_that_is_missing_is_named(new_setup: NewSetup, tmp_path: Path) -> None:
    refused(new_setup(), r"last\.pth can't be read: No such file", resume=tmp_path)


def test_weights_alone_are_no_checkpoint(run: Path, new_setup: NewSetup) -> None:
    refused(new_setup(), r"best_model\.pth is no checkpoint to resume from", resume=run / "best_model.pth")


def test_a_pickle_with_code_is_not_run(run: Path, new_setup: NewSetup) -> None:
    refused(new_setup(), "is cut short, or is no checkpoint", resume=run / "model_complete.pth")


def test_another_model_is_told_by_its_first_difference(run: Path, new_setup: NewSetup) -> None:
    refused(new_setup(hidden=8), r"`0\.weight` is \[16, 4\] there and \[8, 4\] here", resume=run)


def test_a_layer_more_is_told_by_its_name(run: Path, new_setup: NewSetup) -> None:
    setup = new_setup()
    setup.model.append(nn.Linear(4, 4))  # type: ignore[operator]  # the model is a Sequential
    refused(setup, r"`5\.weight` is missing there and \[4, 4\] here", resume=run)


OTHER_SETTINGS: dict[str, dict[str, Any]] = {
    "grad_accumulation was 1 and is 2 here": {"grad_accumulation": 2},
    "precision was 'fp32' and is 'bf16' here": {"precision": "bf16"},
    "seed was 0 and is 1 here": {"seed": 1},
    "clip_grad_norm was None and is 1.0 here": {"clip_grad_norm": 1.0},
}


@pytest.mark.parametrize("message", OTHER_SETTINGS)
def test_other_settings_are_named(run: Path, new_setup: NewSetup, message: str) -> None:
    refused(new_setup(), message, resume=run, **OTHER_SETTINGS[message])


def test_another_learning_rate_is_named(run: Path, new_setup: NewSetup) -> None:
    refused(new_setup(lr=0.5), "optimizer.lr was 0.05 and is 0.5 here", resume=run)


def test_other_data_is_noticed_by_its_size(run: Path, new_setup: NewSetup) -> None:
    refused(new_setup(samples=80), "batches an epoch was 7 and is 10 here", resume=run)


def test_another_schedule_is_named(run: Path, new_setup: NewSetup) -> None:
    setup = new_setup()
    scheduler = torch.optim.lr_scheduler.StepLR(setup.optimizer, 1)
    refused(setup, r"scheduler was \[\] and is \['StepLR each epoch'\] here", resume=run, scheduler=scheduler)


def test_a_folder_that_cannot_be_written_is_named_before_the_training(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(
        setup, "no file can be written to .*file/run: .*file is no folder", checkpoint_dir=tmp_path / "file" / "run"
    )


def test_looking_whether_a_folder_can_be_written_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "deep" / "run")
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_told_and_the_last_checkpoint_stays_good(tmp_path: Path) -> None:
    assert in_a_process(disk_full_after_one_epoch, tmp_path / "run", tmp_path / "error.txt") == 0
    checkpoint = torch.load(tmp_path / "run" / "last.pth", weights_only=True)
    assert "last.pth can't be written: File too large; the one before it is unharmed" in (
        (tmp_path / "error.txt").read_text().replace("best_model.pth", "last.pth")
    )
    assert len(checkpoint["history"]["epochs"]) == 1
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"best_model.pth", "last.pth"}


def test_a_model_that_cannot_be_pickled_is_trained_all_the_same(new_setup: NewSetup, tmp_path: Path) -> None:
    setup = new_setup()
    setup.model.note = lambda: None  # type: ignore[assignment]  # what a user may well do
    with pytest.warns(UserWarning, match=r"model_complete\.pth was not written"):
        setup.fit(checkpoint_dir=tmp_path)
    assert (tmp_path / "best_model.pth").exists()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with (tmp_path / "file").open() as reader:
        write_text(tmp_path / "file", "new")
        assert (reader.read(), (tmp_path / "file").read_text()) == ("old", "new")


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    save(tmp_path / "file", {"good": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="file can't be written: File too large"):
            save(tmp_path / "file", torch.zeros(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.load(tmp_path / "file", weights_only=True) == {"good": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def drawn(setup: Setup) -> list[float]:
    numbers = [random.random(), random.gauss(0, 1), np.random.rand(), float(torch.rand(1))]  # noqa: S311, NPY002 - the global ones
    return [*numbers, float(next(iter(setup.train_loader))[0].sum())]


def test_random_state_is_taken_and_put_back(setup: Setup) -> None:
    loaders = (setup.train_loader, setup.val_loader)
    random.gauss(0, 1)  # keeps a second number for the next call
    np.random.randn()  # noqa: NPY002 - likewise
    state = random_state(loaders)
    first = drawn(setup)
    restore_random_state(state, loaders)
    assert drawn(setup) == first
