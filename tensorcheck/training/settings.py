"""The settings of a run, as they are given on the command line and kept in the run folder."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tensorcheck.training.choices import OPTIMIZERS, Precision
from tensorcheck.training.errors import CheckpointError, TrainingError

FILE = "settings.json"
EPOCHS = 20
EPOCHS_OF_A_PLANT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Everything that a run depends on; None means the usual.

    >>> RunSettings().learning_rate, RunSettings(optimizer="sgd").learning_rate, RunSettings(lr=0.1).learning_rate
    (0.003, 0.05, 0.1)
    """

    data: str | None = None
    """A path, absolute, so that a run can be resumed from another folder; None for the embedded digits."""
    label: str | None = None
    image_size: int | None = None
    epochs: int = EPOCHS
    batch_size: int = 32
    lr: float | None = None
    optimizer: str = "adamw"
    schedule: str = "cosine"
    warmup: int = 1
    """Epochs in which the learning rate grows."""
    precision: Precision = "fp32"
    device: str = "auto"
    accumulate: int = 1
    clip_grad_norm: float | None = None
    early_stopping: int | None = None
    workers: int = 0
    seed: int = 0
    plant: str | None = None

    def __post_init__(self) -> None:
        if self.warmup >= self.epochs > 1 or (self.warmup > 1 and self.epochs == 1):
            msg = f"a warm-up of {self.warmup} epochs leaves none of {self.epochs} to train in"
            raise TrainingError(msg)

    @property
    def learning_rate(self) -> float:
        """The one that was given, or else what suits the optimizer."""
        return OPTIMIZERS[self.optimizer] if self.lr is None else self.lr

    def as_json(self) -> str:
        """The content of `settings.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def of_run(cls, folder: Path) -> "RunSettings":
        """The settings that a run was started with, from its folder."""
        path = folder / FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            known = {field.name for field in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except OSError as error:
            msg = f"{folder} is no folder of a run that can be resumed: {path} can't be read: {error.strerror}"
            raise CheckpointError(msg) from error
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"{path} is damaged: {error}"
            raise CheckpointError(msg) from error
