"""Where tensors are, and what was meant to bring them elsewhere and did not."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tensorcheck.events.event import Event, Instrument
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta

Dropped = Literal["statement", "list", "name"]
"""As a statement of its own; in a list that nobody keeps; into the name of a loop, which the next turn gives anew."""


@dataclass(frozen=True, slots=True)
class ResultDropped(Event):
    """A tensor was asked for a copy of itself on another device or in another dtype, and the copy was let go."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    how: Dropped
    name: str
    """The tensor, as the line spells it."""
    meta: TensorMeta
    """What it was, and is."""
    site: Site
    """The call."""
