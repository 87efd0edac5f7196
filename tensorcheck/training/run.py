"""A whole run: the data, the model, the watch around `fit`, and the files that are left."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

import tensorcheck
from tensorcheck.report import Report
from tensorcheck.training.atomic import write_text
from tensorcheck.training.callbacks import Callback
from tensorcheck.training.checkpoints import LAST
from tensorcheck.training.devices import choose_device
from tensorcheck.training.errors import CheckpointError
from tensorcheck.training.evaluation import Evaluation, evaluate
from tensorcheck.training.folder import MetricsLines, write_results
from tensorcheck.training.loaders import Loader, evaluation_loader, training_loader
from tensorcheck.training.loop import TrainingResult, fit
from tensorcheck.training.plants import recipe_for
from tensorcheck.training.precision import MixedPrecision
from tensorcheck.training.progress import showing_progress
from tensorcheck.training.randomness import seed_everything
from tensorcheck.training.recipe import Recipe
from tensorcheck.training.schedules import Plan, make_schedule
from tensorcheck.training.settings import FILE, RunSettings
from tensorcheck.training.splits import split

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Ingredients:
    """What a run needs and what can be refused before its folder is made."""

    recipe: Recipe
    device: torch.device
    classes: tuple[str, ...]
    train_loader: Loader
    val_loader: Loader
    test_loader: Loader
    model: nn.Module

    @property
    def settings(self) -> RunSettings:
        """What it was all made from."""
        return self.recipe.settings


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    folder: Path
    report: Report
    classes: tuple[str, ...]
    test: Evaluation | None = None
    """On the test data; None where the training broke off."""
    error: BaseException | None = None
    """What broke it off; a `KeyboardInterrupt` for Ctrl-C."""

    @property
    def can_be_resumed(self) -> bool:
        """Whether there is a `last.pth`; before the first step there is none."""
        return (self.folder / LAST).exists()


def gather(settings: RunSettings) -> Ingredients:
    """Read the data and build the model; `TrainingError` where that can't be done. Nothing is written."""
    recipe, device = recipe_for(settings), choose_device(settings.device)
    data = recipe.data()
    parts = split(data, seed=settings.seed)
    seed_everything(settings.seed)
    return Ingredients(
        recipe,
        device,
        data.classes,
        training_loader(parts.train, batch_size=settings.batch_size, workers=settings.workers, seed=settings.seed),
        evaluation_loader(parts.validation, batch_size=EVALUATION_BATCH, workers=settings.workers),
        evaluation_loader(parts.test, batch_size=EVALUATION_BATCH, workers=settings.workers),
        recipe.model(parts.train, len(data.classes)),
    )


def train(ingredients: Ingredients, folder: Path, console: Console, *, resume: Path | None = None) -> Outcome:
    """Train under watch and leave the report, however it ends; where it ends well, also the test's metrics."""
    write_text(folder / FILE, ingredients.settings.as_json())
    watching = tensorcheck.watch(ingredients.model, on_finding=_keep_for_the_end)
    test, error = None, None
    try:
        with watching, showing_progress(console) as progress:
            result = train_alone(ingredients, folder, resume=resume, callbacks=(MetricsLines(folder), progress))
        test = _test(ingredients)
        write_results(folder, result.history, test, ingredients.classes)
    except (Exception, KeyboardInterrupt) as caught:  # noqa: BLE001 - the report matters most where the training failed
        error = caught
    _save_report(watching.report, folder)
    return Outcome(folder, watching.report, ingredients.classes, test, error)


def _keep_for_the_end(_: object) -> None:
    """The findings are printed together, below the training's own output."""


def train_alone(
    ingredients: Ingredients, folder: Path, *, resume: Path | None = None, callbacks: Sequence[Callback] = ()
) -> TrainingResult:
    """Train with `fit`, unwatched; only the checkpoints are written."""
    settings, recipe, model = ingredients.settings, ingredients.recipe, ingredients.model
    recipe.prepare(model)
    optimizer = recipe.optimizer(model)
    steps_an_epoch = -(-len(ingredients.train_loader) // settings.accumulate)
    plan = Plan(settings.epochs, steps_an_epoch, min(settings.warmup, settings.epochs - 1))
    return fit(
        model,
        ingredients.train_loader,
        ingredients.val_loader,
        loss_fn=recipe.loss_fn(),
        optimizer=optimizer,
        scheduler=make_schedule(settings.schedule, optimizer, plan),
        metrics=recipe.metrics(len(ingredients.classes)),
        device=ingredients.device,
        precision=settings.precision,
        epochs=settings.epochs,
        grad_accumulation=settings.accumulate,
        clip_grad_norm=settings.clip_grad_norm,
        early_stopping=settings.early_stopping,
        checkpoint_dir=folder,
        resume=resume,
        seed=settings.seed,
        callbacks=callbacks,
    )


def _test(ingredients: Ingredients) -> Evaluation:
    loss_fn = ingredients.recipe.loss_fn()
    metrics = ingredients.recipe.metrics(len(ingredients.classes))
    mixed = MixedPrecision(ingredients.settings.precision, ingredients.device)
    if metrics is not None:
        metrics.to(ingredients.device)
    return evaluate(ingredients.model, ingredients.test_loader, loss_fn=loss_fn, metrics=metrics, mixed=mixed)


def _save_report(report: Report, folder: Path) -> None:
    try:
        report.save(folder / "report.json")
        report.save(folder / "report.html")
    except OSError as error:
        msg = f"the report can't be written to {folder}: {error.strerror or error}"
        raise CheckpointError(msg) from error
