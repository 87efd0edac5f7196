"""Trainings that are run in processes of their own, and killed there: what a test starts with `in_a_process`.

The processes are forked from a server that has torch imported already, so that each costs milliseconds.
"""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tensorcheck.training import Callback, CheckpointError, classification_metrics
from tensorcheck.training.atomic import save
from tensorcheck.training.callbacks import StepReport
from tensorcheck.training.history import EpochRecord, History
from tensorcheck.training.schedules import Plan, make_schedule
from tests.training.setups import make_setup

EPOCHS = 4


def start(target: Callable[..., None], *args: object) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "torchmetrics", __name__])  # an optimizer imports torch._dynamo
    process = context.Process(target=target, args=args)
    process.start()
    return process


def in_a_process(target: Callable[..., None], *args: object) -> int:
    """Its exit code; minus the signal's number where it was killed."""
    process = start(target, *args)
    process.join(120)
    code = process.exitcode
    process.kill()
    assert code is not None
    return code


class KillAt(Callback):
    """Kills its own process, as the kernel would, after this many batches of an epoch or (None) at the epoch's end."""

    def __init__(self, epoch: int, batches: int | None) -> None:
        self.epoch, self.batches = epoch, batches

    def step_taken(self, report: StepReport) -> None:
        if (report.epoch, report.batches) == (self.epoch, self.batches):
            os.kill(os.getpid(), signal.SIGKILL)

    def epoch_finished(self, record: EpochRecord, history: History) -> None:
        if (record.epoch, None) == (self.epoch, self.batches):
            os.kill(os.getpid(), signal.SIGKILL)


def train(
    folder: Path,
    schedule: str,
    workers: int,
    kill: tuple[int, int | None] | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    setup = make_setup(workers=workers)
    is_resumed = (folder / "last.pth").exists()
    setup.fit(
        scheduler=make_schedule(schedule, setup.optimizer, Plan(EPOCHS, len(setup.train_loader), warm_up_epochs=1)),
        metrics=classification_metrics(4),
        checkpoint_dir=folder,
        resume=folder if is_resumed else None,
        callbacks=[KillAt(*kill)] if kill else [],
        **{"epochs": EPOCHS, **(options or {})},
    )


def save_forever(path: Path, first: int) -> None:
    """Save ever new contents, each of which says of itself whether it is whole."""
    import torch  # noqa: PLC0415 - imported by the server already

    for number in range(first, first + 1_000_000):
        save(path, {"number": number, "tensor": torch.full((50_000,), float(number))})


class FillTheDisk(Callback):
    """From the first epoch on, no file can grow above 1,000 bytes."""

    def epoch_finished(self, record: EpochRecord, history: History) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def disk_full_after_one_epoch(folder: Path, told: Path) -> None:
    try:
        make_setup().fit(epochs=3, checkpoint_dir=folder, callbacks=[FillTheDisk()])
    except CheckpointError as error:
        told.write_text(str(error))
