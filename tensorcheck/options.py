"""What a session is asked to do."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch.optim import Optimizer
from torch.utils.data import DataLoader

from tensorcheck.capsules.wish import CapsuleWish
from tensorcheck.findings import Finding, Severity
from tensorcheck.settings import Settings
from tensorcheck.sites import Site
from tensorcheck.specs.spec import TensorSpec

OnFinding = Callable[[Finding], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a session watches: what `watch` and the command `run` were asked for."""

    on_finding: OnFinding
    """Called with each error and warning when it is first found."""
    raise_on: Severity | None = None
    experiments: bool = True
    """Whether copies of the user's models are run: to try a fix, and to ask what can't be seen."""
    asks_copies: bool = True
    """Whether the latter is done too, after the first step of each model."""
    optimizers: Sequence[Optimizer] = ()
    """Those that are watched; empty for all of the process."""
    loaders: Sequence[DataLoader[Any]] = ()
    """Likewise."""
    finds_models: bool = False
    """Whether models that are trained or called anywhere in the process are watched too."""
    earlier_optimizers: Collection[Optimizer] | None = None
    """Those that were built before the session began; None where that is not known, and the heap is asked."""
    most_steps: int | None = None
    """After how many training steps to end the program."""
    fingerprint: bool = False
    """Whether the values of each traced tensor leave a fingerprint."""
    settings: Settings = field(default_factory=Settings)
    """Which findings are wanted, and how severe they are."""
    specs: Mapping[str, TensorSpec | str] = field(default_factory=dict)
    """What is declared of batches and modules."""
    declared: Site | None = None
    """Where that was."""
    capsule: CapsuleWish | None = None
    """Whether what fails is written to a file, and where."""
