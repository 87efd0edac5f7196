"""What came of comparing two runs, as plain facts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tensorcheck.comparing.tolerances import Tolerance
from tensorcheck.trace import Operation, Value


class Aspect(StrEnum):
    """What can part."""

    SHAPE = "shape"
    REQUIRES_GRAD = "requires_grad"
    DTYPE = "dtype"
    DEVICE = "device"
    VALUES = "values"


HARMLESS = frozenset({Aspect.DTYPE, Aspect.DEVICE})
"""What makes no difference where the values are known to agree."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value of a step, and the operation that made it, read it or, of a gradient, none."""

    value: Value
    operation: Operation | None = None

    @property
    def is_read(self) -> bool:
        """Whether no operation of the trace made it."""
        return self.value.operation is None


@dataclass(frozen=True, slots=True)
class Parting:
    """A place where the two runs are not alike in one thing."""

    step: int
    aspect: Aspect
    left: Place
    right: Place
    distance: float = 0.0
    """Of values: how far apart they are, as a share of their root mean square."""
    tolerance: Tolerance | None = None
    notes: tuple[str, ...] = ()
    """What else is known of it."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An operation, or of a gradient the name of its parameter, that one run alone has."""

    step: int
    is_left: bool
    what: Operation | str

    @property
    def is_gradient(self) -> bool:
        """Whether it is a gradient."""
        return isinstance(self.what, str)


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """A module that was configured otherwise."""

    path: str
    """In the right run."""
    kind: str
    left: str
    """The settings that are not alike, as `p=0.5`."""
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs side by side.

    >>> Comparison(steps=(0,), operations=12).is_same()
    True
    """

    steps: tuple[int, ...] = ()
    """Those that both runs traced."""
    only_left: tuple[int, ...] = ()
    only_right: tuple[int, ...] = ()
    operations: int = 0
    """How many were matched."""
    values: int = 0
    """Of how many tensors the values were compared."""
    gradients: int = 0
    """How many of these were gradients."""
    is_fingerprinted: bool = False
    """Whether both runs know anything of values."""
    partings: tuple[Parting, ...] = ()
    unmatched: tuple[Unmatched, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    settings: tuple[SettingsChange, ...] = ()
    widest: Tolerance | None = None
    """The largest tolerance that was used for values that agreed and were not equal."""
    undecided: int = 0
    """Integers and booleans that were computed from values that are not equal, and were not compared."""
    environments: tuple[str, ...] = ()
    """What the two ran on that is not alike, each as a sentence."""

    def is_same(self, *, strict: bool = False) -> bool:
        """Whether nothing parted that makes a difference; `strict` takes everything for one.

        What makes none is another dtype, another device or another way to the same values, where these are known.
        """
        return next(self.counted(strict=strict), None) is None

    def counted(self, *, strict: bool = False) -> Iterator[Parting | Unmatched]:
        """What makes a difference, in order: the partings, then what only one of the runs has."""
        is_lenient = self.is_fingerprinted and not strict
        yield from (each for each in self.partings if not (is_lenient and each.aspect in HARMLESS))
        yield from (each for each in self.unmatched if each.is_gradient or not is_lenient)

    @property
    def first(self) -> Parting | None:
        """The first parting that makes a difference, or else the first at all."""
        harmful = (each for each in self.partings if not self.is_fingerprinted or each.aspect not in HARMLESS)
        return next(harmful, next(iter(self.partings), None))

    def first_of_each(self) -> Sequence[Parting]:
        """The first parting of each aspect, in order."""
        return list({each.aspect: each for each in reversed(self.partings)}.values())[::-1]
