"""What experiments answered."""

from dataclasses import dataclass
from typing import ClassVar

from tensorcheck.events.event import Event, Instrument
from tensorcheck.fixes import Fix
from tensorcheck.modules import ModuleMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


@dataclass(frozen=True, slots=True)
class FixTried(Event):
    """A fix that a rule had proposed for a crash was applied to a copy of what had failed."""

    instrument: ClassVar[Instrument] = Instrument.EXPERIMENT

    finding: str
    """The fingerprint of the finding that proposes it."""
    fix: Fix
    passed: str
    """What then ran to its end: `the forward and the loss pass`; empty where the same exception came again."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """The first operation of a copy whose output for one part of the input changed though only others did."""

    function: str
    """Its name: `softmax`, `lstm`, `view`."""
    module: ModuleMeta
    """The module that it ran in."""
    input: TensorMeta
    """Its first input that had changed, where it was known which part of it may."""
    output: TensorMeta
    dim: int | None
    """The dim of that input that the parts lie along; None where they share one with another."""
    numbers: tuple[int, ...]
    """The whole numbers that it was called with, such as dims and sizes."""
    site: Site | None
    definition: Site | None
    """Where the module was built, if it is known."""
    mask: Site | None = None
    """An operation before it that is there to hide one part from another."""


@dataclass(frozen=True, slots=True)
class SamplesMixed(Event):
    """A copy of the model, in evaluation mode, answered otherwise for one sample when another was replaced."""

    instrument: ClassVar[Instrument] = Instrument.EXPERIMENT

    model: ModuleMeta
    batch: int
    """How many samples the model had been given."""
    asked: int
    """How many of them the copy was."""
    replaced: int
    """Which of these was another in the second call."""
    changed: tuple[int, ...]
    """Those of the other samples whose output changed by that."""
    inputs: tuple[TensorMeta, ...]
    """What the model had been given."""
    outputs: tuple[TensorMeta, ...]
    """What it had returned."""
    culprit: Culprit | None
    """Where they met; None where that could not be told."""
    site: Site | None
    """The user's line that called the model."""


@dataclass(frozen=True, slots=True)
class LookedAhead(Event):
    """A copy of a model that predicts the next token answered otherwise for a token when a later one was another."""

    instrument: ClassVar[Instrument] = Instrument.EXPERIMENT

    model: ModuleMeta
    length: int
    """How many tokens a sequence had."""
    since: int
    """From which token on they were others."""
    changed: tuple[int, ...]
    """The positions before that whose output changed."""
    output: TensorMeta
    """What the model had returned for the tokens."""
    culprit: Culprit | None
    site: Site | None
    """The user's line that called the model."""
