"""How far a training is: a bar on a terminal, and a line an epoch elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tensorcheck.training.callbacks import Callback, StepReport
from tensorcheck.training.history import EpochRecord, History
from tensorcheck.training.parts import Parts, length_of

SECONDS_BETWEEN_READINGS = 0.25


@contextmanager
def showing_progress(console: Console) -> Iterator[Callback]:
    """The callback that suits the console; a bar is taken down again at the end, also where the training broke off.

    >>> with showing_progress(Console(force_terminal=False)) as progress:
    ...     type(progress).__name__
    'ProgressLines'
    """
    if not console.is_terminal:
        yield ProgressLines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        yield ProgressBar(progress)


class ProgressLines(Callback):
    """One line when an epoch is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epochs = 0

    def training_started(self, parts: Parts, history: History) -> None:  # noqa: ARG002 - Callback's signature
        """Learn how many epochs there will be."""
        self._epochs = parts.epochs

    def epoch_finished(self, record: EpochRecord, history: History) -> None:  # noqa: ARG002 - Callback's signature
        """Print the line."""
        self._console.print(
            f"epoch {record.epoch}/{self._epochs}  {_numbers(record)}  {record.seconds:.1f} s",
            highlight=False,
            soft_wrap=True,
        )


class ProgressBar(Callback):
    """A bar over all batches of the training, with the loss of the epoch so far and what was last measured."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._epochs = 0
        self._measured = ""
        self._read_at = 0.0

    def training_started(self, parts: Parts, history: History) -> None:
        """Put up the bar, filled as far as a resumed training is."""
        self._epochs = parts.epochs
        batches, done = length_of(parts.train_loader), len(history.epochs)
        total = batches * parts.epochs if batches is not None else None
        self._task = self._progress.add_task("training", total=total, completed=done * (batches or 0))
        self._batches = batches or 0

    def step_taken(self, report: StepReport) -> None:
        """Move the bar; seldom, for reading the loss waits for the device."""
        now = time.monotonic()
        if self._task is None or now - self._read_at < SECONDS_BETWEEN_READINGS:
            return
        self._read_at = now
        loss = float(report.loss_sum) / report.samples
        self._progress.update(
            self._task,
            completed=(report.epoch - 1) * self._batches + report.batches,
            description=f"epoch {report.epoch}/{self._epochs}  loss {loss:.4f}  lr {report.lr:.2g}{self._measured}",
        )

    def epoch_finished(self, record: EpochRecord, history: History) -> None:  # noqa: ARG002 - Callback's signature
        """Take up what was measured."""
        if self._task is not None:
            self._measured = f"  accuracy {record.metrics['accuracy']:.4f}" if "accuracy" in record.metrics else ""
            description = f"epoch {record.epoch}/{self._epochs}  {_numbers(record)}"
            self._progress.update(self._task, completed=record.epoch * self._batches, description=description)


def _numbers(record: EpochRecord) -> str:
    accuracy = f"  accuracy {record.metrics['accuracy']:.4f}" if "accuracy" in record.metrics else ""
    return f"loss {record.train_loss:.4f}  validation {record.val_loss:.4f}{accuracy}  lr {record.lr:.2g}"
