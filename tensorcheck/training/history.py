"""What is known after each epoch, and what follows from it: which was the best, and whether to stop."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One finished epoch.

    >>> EpochRecord(epoch=1, train_loss=0.5, val_loss=0.4, lr=0.1, seconds=2.0, metrics={"accuracy": 0.9}).values
    {'train_loss': 0.5, 'val_loss': 0.4, 'val_accuracy': 0.9}
    """

    epoch: int
    """Counted from 1."""
    train_loss: float
    """The mean over the samples, while the weights were still changing and with dropout on."""
    val_loss: float
    """The mean over the samples, after the epoch, in evaluation mode."""
    lr: float
    """The learning rate of the first parameter group in the epoch's first step."""
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Those metrics of the validation data that are one number."""

    @property
    def values(self) -> dict[str, float]:
        """The losses and metrics by the names that schedules and early stopping use."""
        metrics = {f"val_{name}": value for name, value in self.metrics.items()}
        return {"train_loss": self.train_loss, "val_loss": self.val_loss, **metrics}

    def as_json(self) -> dict[str, Any]:
        """One line of `metrics.jsonl`."""
        return {"epoch": self.epoch, **self.values, "lr": self.lr, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Stop when the validation loss has not fallen by more than `min_delta` for `patience` epochs in a row.

    >>> EarlyStopping(patience=3).min_delta
    0.0
    """

    patience: int
    min_delta: float = 0.0


@dataclass(frozen=True, slots=True)
class History:
    """The finished epochs and what they add up to; each epoch makes a new one.

    >>> history = History()
    >>> for epoch, loss in enumerate([0.5, 0.3, 0.4], start=1):
    ...     history = history.after(EpochRecord(epoch, train_loss=0.5, val_loss=loss, lr=0.1, seconds=1))
    >>> history.best_epoch, history.best_loss, history.epochs_without_gain
    (2, 0.3, 1)
    """

    epochs: tuple[EpochRecord, ...] = ()
    best_epoch: int = 0
    best_loss: float = math.inf
    reference_loss: float = math.inf
    """The loss that early stopping has to beat; it lags behind the best where `min_delta` is above 0."""
    epochs_without_gain: int = 0

    def after(self, record: EpochRecord, min_delta: float = 0.0) -> "History":
        """The history with one more epoch."""
        history = replace(self, epochs=(*self.epochs, record))
        if record.val_loss < self.best_loss:
            history = replace(history, best_epoch=record.epoch, best_loss=record.val_loss)
        if record.val_loss < self.reference_loss - min_delta:
            return replace(history, reference_loss=record.val_loss, epochs_without_gain=0)
        return replace(history, epochs_without_gain=self.epochs_without_gain + 1)

    def is_exhausted(self, early_stopping: EarlyStopping | None) -> bool:
        """Whether early stopping ends the training here."""
        return early_stopping is not None and self.epochs_without_gain >= early_stopping.patience

    def as_state(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "History":
        """What `as_state` was made from.

        >>> History.from_state(History().as_state()) == History()
        True
        """
        return cls(**{**state, "epochs": tuple(EpochRecord(**record) for record in state["epochs"])})
