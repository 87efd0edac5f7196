"""The three checkpoint files, and how a training is continued from one of them."""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.training.atomic import save, serialized, write_bytes
from tensorcheck.training.callbacks import Callback, StepReport
from tensorcheck.training.errors import CheckpointError
from tensorcheck.training.history import History
from tensorcheck.training.parts import Parts
from tensorcheck.training.randomness import random_state, restore_random_state

BEST = "best_model.pth"
COMPLETE = "model_complete.pth"
LAST = "last.pth"

Weights = dict[str, Tensor]


def copy_weights(model: nn.Module) -> Weights:
    """A copy, on the CPU. `state_dict()` alone holds the live tensors, which the next step would change.

    >>> model = nn.Linear(1, 1); kept = copy_weights(model)
    >>> _ = nn.init.zeros_(model.bias); bool(kept["bias"] == 0)
    False
    """
    return {name: _copy(value) for name, value in model.state_dict().items()}


def _copy(value: Any) -> Any:  # noqa: ANN401 - a module's extra state can be anything
    return value.detach().cpu().clone() if isinstance(value, Tensor) else value


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come: its epochs, and the weights of the best of them."""

    history: History
    best_weights: Weights | None = None


def checkpoint_of(parts: Parts, progress: Progress) -> dict[str, Any]:
    """Everything that the epochs to come depend on, as tensors and plain values."""
    return {
        "settings": parts.settings(),
        "history": progress.history.as_state(),
        "model": parts.model.state_dict(),
        "best_model": progress.best_weights,
        "optimizer": parts.optimizer.state_dict(),
        "schedulers": [schedule.scheduler.state_dict() for schedule in parts.schedules],
        "scaler": parts.mixed.scaler.state_dict(),
        "random": random_state((parts.train_loader, parts.val_loader)),
    }


def restore(parts: Parts, path: Path) -> Progress:
    """Put a training into the state of a checkpoint; `CheckpointError`, with nothing changed, where it doesn't fit."""
    checkpoint = load_checkpoint(path)
    _check_model(path, checkpoint["model"], parts.model)
    _check_settings(path, checkpoint["settings"], parts.settings())
    parts.model.load_state_dict(checkpoint["model"])
    parts.optimizer.load_state_dict(checkpoint["optimizer"])
    for schedule, state in zip(parts.schedules, checkpoint["schedulers"], strict=True):
        schedule.scheduler.load_state_dict(state)
    parts.mixed.scaler.load_state_dict(checkpoint["scaler"])
    restore_random_state(checkpoint["random"], (parts.train_loader, parts.val_loader))
    return Progress(History.from_state(checkpoint["history"]), checkpoint["best_model"])


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read `last.pth`, or the one in a run folder; it holds no code, so one from a stranger can do no harm."""
    path = path / LAST if path.is_dir() else path
    try:
        content = BytesIO(path.read_bytes())
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror or error}"
        raise CheckpointError(msg) from error
    try:
        checkpoint = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:
        # A file that is cut short makes torch raise RuntimeError, OSError, EOFError, UnpicklingError or KeyError.
        msg = f"{path} is cut short, or is no checkpoint"
        raise CheckpointError(msg) from error
    if not isinstance(checkpoint, dict) or not {"settings", "model", "optimizer", "random"} <= checkpoint.keys():
        msg = f"{path} is no checkpoint to resume from; that is the file {LAST} of a run"
        raise CheckpointError(msg)
    return checkpoint


def _check_model(path: Path, saved: Mapping[str, Any], model: nn.Module) -> None:
    own = model.state_dict()
    for name in (*own, *saved):
        there, here = _shape(saved, name), _shape(own, name)
        if there != here:
            msg = f"{path} is of another model: `{name}` is {there} there and {here} here"
            raise CheckpointError(msg)


def _shape(weights: Mapping[str, Any], name: str) -> str:
    value = weights.get(name)
    return str(list(value.shape)) if isinstance(value, Tensor) else "missing" if name not in weights else "no tensor"


def _check_settings(path: Path, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    for name in dict.fromkeys((*own, *saved)):
        if saved.get(name) != own.get(name):
            msg = f"{path} was made with other settings: {name} was {saved.get(name)!r} and is {own.get(name)!r} here"
            raise CheckpointError(msg)


class CheckpointFolder:
    """Where a training keeps its checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, parts: Parts, progress: Progress) -> None:
        """Write `best_model.pth`, where the epoch just finished is the best, and `last.pth`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if progress.history.best_epoch == len(progress.history.epochs):
            save(self.folder / BEST, progress.best_weights)
        save(self.folder / LAST, checkpoint_of(parts, progress))

    def keep_complete(self, model: nn.Module) -> None:
        """Write `model_complete.pth`, the model with its class's name; warn where it can't be pickled."""
        try:
            save(self.folder / COMPLETE, model)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            message = f"{self.folder / COMPLETE} was not written: {error}; {BEST} has the weights"
            warnings.warn(message, stacklevel=2)


class StartingPoint(Callback):
    """Writes `last.pth` as of before the first epoch, so that a run that ends within it can be resumed.

    Only once the first step has passed, for a training that fails at once is meant to leave nothing behind.
    """

    def __init__(self, folder: Path, parts: Parts, progress: Progress) -> None:
        self._path = folder / LAST
        self._content: memoryview | None = serialized(checkpoint_of(parts, progress))

    def step_taken(self, report: StepReport) -> None:  # noqa: ARG002 - any step will do
        """Write it, the first time."""
        if self._content is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self._path, self._content)
            self._content = None
