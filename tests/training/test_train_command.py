import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import nn

from tensorcheck.cli.train import train
from tensorcheck.training.choices import OPTIMIZERS, SCHEDULES
from tensorcheck.training.embedded import load_digits
from tensorcheck.training.folder import claim_folder
from tensorcheck.training.run import gather, train_alone
from tensorcheck.training.settings import RunSettings

FILES = {
    "best_model.pth",
    "confusion.png",
    "curves.png",
    "last.pth",
    "metrics.json",
    "metrics.jsonl",
    "model_complete.pth",
    "report.html",
    "report.json",
    "settings.json",
}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(train, [str(argument) for argument in arguments])


def run_alone(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tensorcheck", "train", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def default_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path, float]:
    """`tensorcheck train`, as it stands, in an empty folder."""
    home = tmp_path_factory.mktemp("home")
    started = time.monotonic()
    result = run_alone(folder=home)
    (run,) = (home / "runs").iterdir()
    return result, run, time.monotonic() - started


DefaultRun = tuple[subprocess.CompletedProcess[str], Path, float]


def test_the_default_run_learns_the_digits_in_time(default_run: DefaultRun) -> None:
    result, run, seconds = default_run
    metrics = json.loads((run / "metrics.json").read_text())
    assert (result.returncode, result.stderr) == (0, "")
    assert metrics["accuracy"] >= 0.97
    assert seconds < 60


def test_it_prints_the_report_of_classes_the_findings_and_the_folder(default_run: DefaultRun) -> None:
    result, run, _ = default_run
    assert re.search(r"^weighted avg +0\.9\d+", result.stdout, re.MULTILINE)
    assert "tensorcheck: no findings" in result.stdout
    assert f"files: runs/{run.name}" in result.stdout
    assert len(re.findall(r"^epoch \d+/20  loss ", result.stdout, re.MULTILINE)) == 20


def test_it_leaves_its_files_and_no_other(default_run: DefaultRun) -> None:
    assert {file.name for file in default_run[1].iterdir()} == FILES


def test_what_it_says_of_the_test_data_is_true_of_the_best_weights(default_run: DefaultRun) -> None:
    _, run, _ = default_run
    metrics = json.loads((run / "metrics.json").read_text())
    parts = gather(RunSettings())
    parts.model.load_state_dict(torch.load(run / "best_model.pth", weights_only=True))
    parts.model.eval()
    with torch.inference_mode():
        hits = [parts.model(images).argmax(1) == labels for images, labels in parts.test_loader]
    assert metrics["accuracy"] == pytest.approx(float(torch.cat(hits).float().mean()))
    assert sum(map(sum, metrics["confusion_matrix"])) == metrics["report"]["macro_avg"]["support"] == 359


def test_its_complete_model_is_the_best_one(default_run: DefaultRun) -> None:
    _, run, _ = default_run
    model = torch.load(run / "model_complete.pth", weights_only=False)
    weights = torch.load(run / "best_model.pth", weights_only=True)
    assert isinstance(model, nn.Module)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


def test_it_writes_a_line_for_each_epoch(default_run: DefaultRun) -> None:
    lines = [json.loads(line) for line in (default_run[1] / "metrics.jsonl").read_text().splitlines()]
    metrics = json.loads((default_run[1] / "metrics.json").read_text())
    assert [line["epoch"] for line in lines] == list(range(1, 21))
    assert min(lines, key=lambda line: line["val_loss"])["epoch"] == metrics["best_epoch"]


def last_model(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(folder / "last.pth", weights_only=True)["model"]
    return weights


def assert_equal_models(one: Path, other: Path) -> None:
    assert all(torch.equal(value, last_model(other)[name]) for name, value in last_model(one).items())


def test_training_watched_ends_with_the_same_bits_as_training_alone(tmp_path: Path) -> None:
    assert invoke("--epochs", 2, "--run-dir", tmp_path / "watched").exit_code == 0
    train_alone(gather(RunSettings(epochs=2)), tmp_path / "alone")
    assert_equal_models(tmp_path / "watched", tmp_path / "alone")


def started(*arguments: object, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tensorcheck", "train", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - the tests start no thread that could be forked in the middle of a lock
    )


def hear_ctrl_c() -> None:
    """A shell starts its background jobs, and so everything below them, with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("file", ["last.pth", "metrics.jsonl"], ids=["in the first epoch", "later"])
def test_ctrl_c_leaves_a_report_and_a_run_that_goes_on_to_the_same_bits(tmp_path: Path, file: str) -> None:
    process = started("--epochs", 8, "--run-dir", "run", folder=tmp_path)
    wait_for(tmp_path / "run" / file)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "interrupted; to go on: tensorcheck train --resume run\n"
    assert {"report.json", "report.html", "last.pth"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert invoke("--resume", tmp_path / "run").exit_code == 0
    assert invoke("--epochs", 8, "--run-dir", tmp_path / "whole").exit_code == 0
    assert_equal_models(tmp_path / "run", tmp_path / "whole")


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    assert invoke("--epochs", 2, "--schedule", "none", "--run-dir", tmp_path / "run").exit_code == 0
    assert invoke("--epochs", 4, "--schedule", "none", "--run-dir", tmp_path / "whole").exit_code == 0
    assert invoke("--resume", tmp_path / "run", "--epochs", 4).exit_code == 0
    assert_equal_models(tmp_path / "run", tmp_path / "whole")
    assert RunSettings.of_run(tmp_path / "run").epochs == 4


def test_a_cosine_is_planned_anew_for_a_longer_run(tmp_path: Path) -> None:
    assert invoke("--epochs", 2, "--run-dir", tmp_path / "run").exit_code == 0
    assert invoke("--resume", tmp_path / "run", "--epochs", 4).exit_code == 0
    rates = [json.loads(line)["lr"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rates[3] == pytest.approx(3e-3 / 4)


def complains(*arguments: object) -> str:
    """The one sentence of a refusal."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    return result.output.splitlines()[-1]


def test_a_one_cycle_cannot_be_made_longer(tmp_path: Path) -> None:
    invoke("--epochs", 1, "--schedule", "one-cycle", "--run-dir", tmp_path / "run")
    assert "one-cycle schedule of" in complains("--resume", tmp_path / "run", "--epochs", 2)


def test_a_resumed_run_keeps_its_settings(tmp_path: Path) -> None:
    assert "--lr can't be changed by --resume" in complains("--resume", tmp_path, "--lr", "0.1")


def test_resuming_what_is_no_run_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path} is no folder of a run that can be resumed" in complains("--resume", tmp_path)


def test_resuming_a_run_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(RunSettings().as_json())
    assert "last.pth can't be read: No such file" in complains("--resume", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"epochs": "many"}'])
def test_resuming_a_run_with_damaged_settings_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json").write_text(content)
    assert "settings.json is damaged" in complains("--resume", tmp_path)


def test_a_run_never_writes_over_another(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "holds files already" in complains("--run-dir", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_two_runs_in_one_second_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = claim_folder(), claim_folder()
    assert first != second
    assert first.is_dir()
    assert second.is_dir()


def test_a_run_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "can't be made: Not a directory" in complains("--run-dir", tmp_path / "file" / "run")


BAD: dict[str, list[object]] = {
    "nowhere does not exist": ["--data", "nowhere"],
    "device 'warp' is not to be had here": ["--device", "warp"],
    "a warm-up of 3 epochs leaves none of 2": ["--warmup", 3, "--epochs", 2],
    "'fast' is not one of 'cosine'": ["--schedule", "fast"],
    "0 is not in the range": ["--epochs", 0],
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_sentence_and_makes_no_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in complains(*BAD[message])
    assert not any(tmp_path.iterdir())


def test_an_unreadable_image_is_one_sentence_and_makes_no_run_folder(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (8, 8)).save(tmp_path / "pets" / name / f"{number}.png")
    (tmp_path / "pets" / "cat" / "1.png").write_bytes(b"no image")
    result = run_alone("--data", "pets", folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(r"Error: .*pets/cat/1\.png can't be read as an image: it is no PNG or JPEG\n", result.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def trains(folder: Path, *arguments: object) -> dict[str, Any]:
    result = invoke("--run-dir", folder, *arguments)
    assert result.exit_code == 0, result.output
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


def test_a_folder_of_images_is_learned(tmp_path: Path) -> None:
    digits = load_digits()
    for index in range(300):
        path = tmp_path / "images" / digits.classes[digits.labels[index]] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.features[index, 0] * 15).save(path)
    metrics = trains(tmp_path / "run", "--data", tmp_path / "images", "--epochs", 12, "--workers", 1)
    assert metrics["accuracy"] > 0.8


def test_a_table_is_learned(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(300, 2, generator=generator) * torch.tensor([1000.0, 0.001])
    rows = [f"{x},{y},{'right' if x > 0 else 'left'}" for x, y in points.tolist()]
    (tmp_path / "table.csv").write_text("\n".join(["x,y,side", *rows]))
    metrics = trains(tmp_path / "run", "--data", tmp_path / "table.csv", "--label", "side")
    assert metrics["accuracy"] > 0.9
    assert metrics["classes"] == ["left", "right"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_optimizer_learns(tmp_path: Path, optimizer: str) -> None:
    assert trains(tmp_path / "run", "--optimizer", optimizer, "--epochs", 6)["accuracy"] > 0.9


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_schedule_learns(tmp_path: Path, schedule: str) -> None:
    assert trains(tmp_path / "run", "--schedule", schedule, "--epochs", 4)["accuracy"] > 0.85


def test_the_other_options_reach_the_training(tmp_path: Path) -> None:
    options = ["--precision", "bf16", "--accumulate", 2, "--clip-grad-norm", 1, "--early-stopping", 3, "--seed", 7]
    trains(tmp_path / "run", *options, "--batch-size", 64, "--epochs", 2, "--lr", 0.01, "--workers", 1)
    settings = torch.load(tmp_path / "run" / "last.pth", weights_only=True)["settings"]
    assert settings["precision"] == "bf16"
    assert settings["grad_accumulation"] == 2
    assert settings["clip_grad_norm"] == 1
    assert settings["seed"] == 7
    assert settings["optimizer.lr"] == 0.01
    assert settings["batches an epoch"] == 19


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    # The initial checkpoint has some 120 KB; that of an epoch, with the optimizer's state, some 500.
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000));"
        "from tensorcheck.cli.train import train; train(['--run-dir', 'run'], prog_name='train')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 2
    assert result.stderr == "Error: run/last.pth can't be written: File too large; the one before it is unharmed\n"
    assert torch.load(tmp_path / "run" / "last.pth", weights_only=True)["history"]["epochs"] == ()
    assert (tmp_path / "run" / "report.json").exists()


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys; from tensorcheck.cli.train import train; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
