"""Two pictures of a run: how the loss fell, and which classes were taken for which.

With matplotlib's objects and not with pyplot, which keeps every figure alive and opens a window where it can.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from tensorcheck.training.atomic import write_bytes
from tensorcheck.training.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES_WITH_NUMBERS = 20


def save_curves(path: Path, history: History) -> None:
    """Draw the training and validation loss over the epochs, and mark the best."""
    figure = _figure(width=6, height=4)
    axes = figure.subplots()
    epochs = [record.epoch for record in history.epochs]
    axes.plot(epochs, [record.train_loss for record in history.epochs], label="training")
    axes.plot(epochs, [record.val_loss for record in history.epochs], label="validation")
    axes.plot([history.best_epoch], [history.best_loss], "o", label=f"best (epoch {history.best_epoch})")
    axes.set(xlabel="epoch", ylabel="mean loss")
    axes.legend()
    _save(path, figure)


def save_confusion(path: Path, confusion: Tensor, names: Sequence[str]) -> None:
    """Draw a confusion matrix, [true, predicted]."""
    figure = _figure(width=6, height=6)
    axes = figure.subplots()
    axes.imshow(confusion.cpu().numpy(), cmap="Blues")
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= MOST_CLASSES_WITH_NUMBERS:
        axes.set_xticks(range(len(names)), labels=names, rotation=45)
        axes.set_yticks(range(len(names)), labels=names)
        half = float(confusion.max()) / 2
        for true, row in enumerate(confusion.tolist()):
            for predicted, count in enumerate(row):
                color = "white" if count > half else "black"
                axes.text(predicted, true, str(count), ha="center", va="center", color=color)
    _save(path, figure)


def _figure(*, width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure  # noqa: PLC0415 - matplotlib starts slowly

    return Figure(figsize=(width, height), layout="constrained")


def _save(path: Path, figure: "Figure") -> None:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_bytes(path, buffer.getbuffer())
