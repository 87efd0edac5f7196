"""An optimizer whose state does not fit its parameters, and a schedule that is over, as plain facts."""

from dataclasses import dataclass, field

from tensorcheck.lineage import Lineage
from tensorcheck.tensors import TensorMeta


@dataclass(frozen=True, slots=True)
class OddState:
    """A tensor that an optimizer keeps for a parameter and that has another dtype than that parameter.

    >>> OddState("Adam", "exp_avg", TensorMeta((2,), "float32", "cpu"), TensorMeta((2,), "float64", "cpu")).state
    'exp_avg'
    """

    optimizer: str
    """Its class."""
    state: str
    """What it calls the tensor: `exp_avg`, `momentum_buffer`."""
    kept: TensorMeta
    parameter: TensorMeta


@dataclass(frozen=True, slots=True)
class ScheduleEnd:
    """A learning-rate scheduler that was stepped more often than it was built for.

    >>> ScheduleEnd("OneCycleLR", 4, epochs="EPOCHS").total
    4
    """

    kind: str
    total: int
    """For how many steps it was built."""
    lineage: Lineage = field(default_factory=Lineage)
    """Where it came from."""
    optimizer_steps: int | None = None
    """How many steps its optimizer has taken; None where it counts none."""
    epochs: str = ""
    """How the running code spells the rounds of a loop, where they are as many as the total and each goes through a
    DataLoader: `EPOCHS`."""
    loader: str = ""
    """How it spells that DataLoader."""
