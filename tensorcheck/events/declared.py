"""What the user declared of tensors, and does not hold."""

from dataclasses import dataclass
from typing import Literal

from tensorcheck.events.event import Event
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


@dataclass(frozen=True, slots=True)
class SpecBroken(Event):
    """A field of a batch, or what a module is given or returns, is not what `watch(specs=...)` says."""

    name: str
    """The expression that reaches it: `batch["image"]`, or `output of encoder`."""
    role: Literal["batch", "input", "output"]
    module: str | None
    """The dotted path of the module; None of a batch."""
    got: TensorMeta | None
    """None where there is no such tensor."""
    expected: str
    reasons: tuple[str, ...]
    declared: Site | None
    """Where the specs were declared."""
    batch: int | None = None
    """How many batches of the loader came before."""
    samples: tuple[int, ...] = ()
    """The indices of the samples in the batch, as far as they are known."""
    site: Site | None = None
