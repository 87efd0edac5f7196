"""Looking on while a model is trained."""

from dataclasses import dataclass

from torch import Tensor

from tensorcheck.training.history import EpochRecord, History
from tensorcheck.training.parts import Parts


@dataclass(frozen=True, slots=True)
class StepReport:
    """One optimizer step.

    The loss stays on its device: reading it (`float(report.loss_sum)`) waits for the device, so do it seldom.
    """

    epoch: int
    batches: int
    """How many batches of the epoch are done."""
    loss_sum: Tensor
    """The loss summed over the epoch's samples so far, without its graph."""
    samples: int
    lr: float


class Callback:
    """Override what you want to hear of; each method does nothing by itself.

    >>> class Shout(Callback):
    ...     def epoch_finished(self, record: EpochRecord, history: History) -> None:
    ...         print(f"EPOCH {record.epoch}!")
    """

    def training_started(self, parts: Parts, history: History) -> None:
        """Everything is checked and in place; `history` has epochs already where the training is resumed."""

    def step_taken(self, report: StepReport) -> None:
        """The optimizer stepped."""

    def epoch_finished(self, record: EpochRecord, history: History) -> None:
        """An epoch was trained and evaluated, and its checkpoints are on the disk."""

    def training_finished(self, history: History) -> None:
        """The last epoch is over; not called where the training breaks off."""
