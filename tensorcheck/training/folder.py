"""The folder of a run, and the files that `fit` does not write."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tensorcheck.training.atomic import write_text
from tensorcheck.training.callbacks import Callback
from tensorcheck.training.errors import CheckpointError
from tensorcheck.training.evaluation import Evaluation
from tensorcheck.training.figures import save_confusion, save_curves
from tensorcheck.training.history import EpochRecord, History
from tensorcheck.training.metrics import ClassificationReport, scalars

RUNS = Path("runs")


def claim_folder(wanted: Path | None = None) -> Path:
    """Make the folder of a new run: the one that was asked for, or `runs/` and the time.

    Never one that holds something already; `CheckpointError` where it can't be made.
    """
    try:
        return _claim(wanted) if wanted is not None else _claim_by_time()
    except OSError as error:
        msg = f"the run folder {error.filename or wanted} can't be made: {error.strerror}"
        raise CheckpointError(msg) from error


def _claim(wanted: Path) -> Path:
    wanted.mkdir(parents=True, exist_ok=True)
    if any(wanted.iterdir()):
        msg = f"{wanted} holds files already, and a run never writes over another; to go on with it, --resume {wanted}"
        raise CheckpointError(msg)
    return wanted


def _claim_by_time() -> Path:
    name = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while True:
        folder = RUNS / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not RUNS.is_dir():
                raise
            number += 1
        else:
            return folder


class MetricsLines(Callback):
    """Writes `metrics.jsonl`: a line for each epoch so far, the whole file anew each time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.jsonl"

    def epoch_finished(self, record: EpochRecord, history: History) -> None:  # noqa: ARG002 - the history has it too
        """Write all lines."""
        write_text(self._path, "".join(f"{json.dumps(epoch.as_json())}\n" for epoch in history.epochs))


def write_results(folder: Path, history: History, test: Evaluation, classes: Sequence[str]) -> None:
    """Write `metrics.json`, of the best epoch's weights on the test data, and the figures."""
    content: dict[str, object] = {"split": "test", "best_epoch": history.best_epoch, "loss": test.loss}
    content |= scalars(test.metrics)
    if "confusion_matrix" in test.metrics:
        confusion = test.metrics["confusion_matrix"]
        content["classes"] = list(classes)
        content["confusion_matrix"] = confusion.tolist()
        content["report"] = ClassificationReport.of(confusion, classes).as_json()
        save_confusion(folder / "confusion.png", confusion, classes)
    write_text(folder / "metrics.json", json.dumps(content, indent=2) + "\n")
    save_curves(folder / "curves.png", history)
