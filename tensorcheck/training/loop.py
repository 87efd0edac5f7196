"""`fit`: the reference training loop."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection

from tensorcheck.training.atomic import check_writable
from tensorcheck.training.callbacks import Callback, StepReport
from tensorcheck.training.checkpoints import CheckpointFolder, Progress, StartingPoint, copy_weights, restore
from tensorcheck.training.choices import Precision
from tensorcheck.training.devices import choose_device
from tensorcheck.training.epoch import train_epoch
from tensorcheck.training.errors import TrainingError
from tensorcheck.training.evaluation import evaluate
from tensorcheck.training.history import EarlyStopping, EpochRecord, History
from tensorcheck.training.metrics import scalars
from tensorcheck.training.parts import LossFunction, Parts
from tensorcheck.training.precision import MixedPrecision
from tensorcheck.training.randomness import seed_everything
from tensorcheck.training.schedules import AnySchedule, as_schedules


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came of a training. The model itself holds the weights of the best epoch."""

    history: History
    stopped_early: bool
    device: torch.device
    checkpoint_dir: Path | None = None

    @property
    def best(self) -> EpochRecord:
        """The epoch with the lowest validation loss."""
        return self.history.epochs[self.history.best_epoch - 1]


def fit(  # noqa: PLR0913 - a training has this many parts, and each is named at the call
    model: nn.Module,
    train_loader: DataLoader[Any],
    val_loader: DataLoader[Any],
    *,
    loss_fn: LossFunction,
    optimizer: Optimizer,
    scheduler: AnySchedule = None,
    metrics: MetricCollection | None = None,
    device: str | torch.device = "auto",
    precision: Precision = "fp32",
    epochs: int,
    grad_accumulation: int = 1,
    clip_grad_norm: float | None = None,
    early_stopping: EarlyStopping | int | None = None,
    checkpoint_dir: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    seed: int | None = 0,
    callbacks: Sequence[Callback] = (),
) -> TrainingResult:
    """Train a model, and leave the weights of its best epoch in it.

    A batch is a pair of tensors, `(inputs, targets)`, and `loss_fn(model(inputs), targets)` their mean loss. The best
    epoch is the one with the lowest validation loss. A scheduler of PyTorch is stepped when its class wants it; wrap it
    in a `Schedule` to say otherwise. A number for `early_stopping` is the patience, in epochs.

    With `checkpoint_dir`, each epoch leaves `last.pth` and, if it is the best, `best_model.pth` (weights alone); after
    the last comes `model_complete.pth`. `resume` takes such a folder or a `last.pth`. On one machine, with the
    same versions and on the CPU, a training that was killed and resumed ends with the same bits as one that was not (on
    an accelerator that takes `torch.use_deterministic_algorithms(True)`); an epoch that was broken off is trained anew.
    `epochs` counts from the very first, so a larger number extends a training. `seed` seeds the global generators, or
    leaves them alone where it is None.

    Raises `TrainingError` (a `ValueError`) for what can't be trained, and its subclass `CheckpointError` for files.

    >>> _ = torch.manual_seed(0)
    >>> model = nn.Linear(1, 1)
    >>> data = [(torch.tensor([x]), torch.tensor([2 * x])) for x in (0.0, 1.0, 2.0)]
    >>> loader = DataLoader(data, batch_size=3)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> result = fit(model, loader, loader, loss_fn=nn.functional.mse_loss, optimizer=sgd, epochs=20, device="cpu")
    >>> result.best.val_loss < 0.1
    True
    """
    device = choose_device(device)
    parts = Parts(
        model=model,
        train_loader=train_loader,
        val_loader=val_loader,
        loss_fn=loss_fn,
        optimizer=optimizer,
        schedules=as_schedules(scheduler),
        metrics=metrics,
        device=device,
        mixed=MixedPrecision(precision, device),
        epochs=epochs,
        grad_accumulation=grad_accumulation,
        clip_grad_norm=clip_grad_norm,
        early_stopping=EarlyStopping(early_stopping) if isinstance(early_stopping, int) else early_stopping,
        seed=seed,
    )
    folder = Path(checkpoint_dir) if checkpoint_dir is not None else None
    if folder is not None:
        check_writable(folder)
    progress = _begin(parts, Path(resume) if resume is not None else None)
    return _train(parts, progress, folder, callbacks)


def _begin(parts: Parts, resume: Path | None) -> Progress:
    parts.model.to(parts.device)  # in place: the optimizer goes on holding the same parameters
    if parts.metrics is not None:
        parts.metrics.to(parts.device)
    if resume is not None:
        return restore(parts, resume)
    if parts.seed is not None:
        seed_everything(parts.seed)
    return Progress(History())


def _train(parts: Parts, progress: Progress, folder: Path | None, callbacks: Sequence[Callback]) -> TrainingResult:
    listeners = tuple(callbacks)
    if folder is not None and not progress.history.epochs:
        listeners = (StartingPoint(folder, parts, progress), *listeners)
    for listener in listeners:
        listener.training_started(parts, progress.history)
    while len(progress.history.epochs) < parts.epochs and not progress.history.is_exhausted(parts.early_stopping):
        progress = _one_more_epoch(parts, progress, listeners)
        if folder is not None:
            CheckpointFolder(folder).keep(parts, progress)
        for listener in listeners:
            listener.epoch_finished(progress.history.epochs[-1], progress.history)
    return _finish(parts, progress, folder, listeners)


def _one_more_epoch(parts: Parts, progress: Progress, listeners: Sequence[Callback]) -> Progress:
    def step_taken(report: StepReport) -> None:
        for listener in listeners:
            listener.step_taken(report)

    epoch = len(progress.history.epochs) + 1
    started, lr = time.perf_counter(), parts.lr
    _shuffle_anew(parts.train_loader, epoch)
    train_loss = train_epoch(parts, epoch, step_taken)
    _check_finite("training", train_loss, epoch)
    measured = evaluate(parts.model, parts.val_loader, loss_fn=parts.loss_fn, metrics=parts.metrics, mixed=parts.mixed)
    _check_finite("validation", measured.loss, epoch)
    seconds = time.perf_counter() - started
    record = EpochRecord(epoch, train_loss, measured.loss, lr, seconds, scalars(measured.metrics))
    for schedule in parts.schedules:
        schedule.epoch_finished(record.values)
    history = progress.history.after(record, parts.early_stopping.min_delta if parts.early_stopping else 0.0)
    is_best = history.best_epoch == epoch
    return Progress(history, copy_weights(parts.model) if is_best else progress.best_weights)


def _shuffle_anew(loader: DataLoader[Any], epoch: int) -> None:
    # A DistributedSampler hands out the same order in every epoch unless it is told which one it is.
    set_epoch = getattr(loader.sampler, "set_epoch", None)
    if set_epoch is not None:
        set_epoch(epoch)


def _check_finite(which: str, loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        msg = f"the {which} loss became {loss} in epoch {epoch}; the checkpoints are those of the epochs before"
        raise TrainingError(msg)


def _finish(parts: Parts, progress: Progress, folder: Path | None, listeners: Sequence[Callback]) -> TrainingResult:
    if progress.best_weights is not None:
        parts.model.load_state_dict(progress.best_weights)
    if folder is not None:
        CheckpointFolder(folder).keep_complete(parts.model)
    for listener in listeners:
        listener.training_finished(progress.history)
    stopped_early = progress.history.is_exhausted(parts.early_stopping)
    return TrainingResult(progress.history, stopped_early, parts.device, folder)
