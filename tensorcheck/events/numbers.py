"""What became of numbers in a traced step, where their dtype could not hold what was meant."""

from dataclasses import dataclass
from typing import ClassVar

from tensorcheck.events.event import Event, Instrument
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


@dataclass(frozen=True, slots=True)
class NumbersChanged(Event):
    """An operation of the user's gave other numbers than those that it stands for."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    given: str
    """The dtype that they had."""
    made: str
    """The dtype that they have."""
    changed: int
    """How many numbers became others."""
    count: int
    """Of how many."""
    first: float
    """One of these numbers, as it should be."""
    became: float
    """What it is."""
    lowest: float
    highest: float
    """The range of the numbers as they should be."""
    site: Site


@dataclass(frozen=True, slots=True)
class CastOverflowed(NumbersChanged):
    """A cast to a dtype that does not reach as far as the values."""


@dataclass(frozen=True, slots=True)
class IntegersWrapped(NumbersChanged):
    """A sum, difference or product of small integers left the range of their dtype and came in at its other end."""


@dataclass(frozen=True, slots=True)
class FractionsCut(NumbersChanged):
    """Numbers between -1 and 1 became integers, nearly all of them 0."""


@dataclass(frozen=True, slots=True)
class MaskInverted(NumbersChanged):
    """`~` of integers that are all 0 or 1, which inverts each of their bits."""


@dataclass(frozen=True, slots=True)
class NeverEqual(Event):
    """What a model computed was compared for equality with what it did not, and no two numbers were equal."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    count: int
    """How many were compared."""
    computed: TensorMeta
    other: TensorMeta
    site: Site


@dataclass(frozen=True, slots=True)
class IndicesRounded(Event):
    """Whole numbers were cast to integers from a dtype that does not hold each whole number as large as these."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    dtype: str
    exact: int
    """Up to here it holds each."""
    beyond: int
    """How many of the numbers are larger."""
    count: int
    highest: float
    made: Site | None
    """Where integers became such numbers; None where they came so."""
    site: Site
    """Where they become integers again."""


@dataclass(frozen=True, slots=True)
class NearlyOverflowed(Event):
    """An exponential gave numbers that are close to the largest of their dtype."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    function: str
    dtype: str
    given: float
    """The largest that it was given."""
    highest: float
    """What it made of that."""
    limit: float
    """Beyond this it gives infinity."""
    site: Site
