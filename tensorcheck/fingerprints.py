"""What is kept of a tensor's values, so that two runs can be compared without either tensor at hand.

The sketch is what makes it work. Each of its numbers is a sum of the values, each value times a fixed weight that is
made from its place, and the weights have mean 0 and mean square 1. So for two tensors the squared differences of their
sketches add up, on average over the weights, to the sum of the squared differences of their values: how far two
tensors are apart can be told from what is left of each alone (Johnson and Lindenstrauss; Charikar, Chen and
Farach-Colton, "Finding frequent items in data streams", 2002). Values that changed places change it as others do.
"""

import math
from dataclasses import dataclass

SKETCH = 8
"""How many numbers a sketch has; the distance is told to about a quarter of itself, and nearly never to half."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A tensor's values in a few numbers, all computed in float64; what is not finite counts as 0 in them.

    >>> one = Fingerprint(count=2, norm=5.0, mean=3.5, low=3.0, high=4.0, sketch=(3.0, 4.0))
    >>> other = Fingerprint(count=2, norm=5.0, mean=3.5, low=3.0, high=4.0, sketch=(4.0, 3.0))
    >>> one.rms == other.rms, one.distance(other), one.distance(one)
    (True, 1.0, 0.0)
    """

    count: int
    norm: float
    mean: float
    low: float
    high: float
    sketch: tuple[float, ...]
    nan: int = 0
    inf: int = 0

    @property
    def rms(self) -> float:
        """The root of the mean square of the values."""
        return self.norm / math.sqrt(self.count) if self.count else 0.0

    def distance(self, other: "Fingerprint") -> float:
        """An estimate of the root of the mean square of the differences; exactly 0 for equal values alone.

        No two tensors have norms or means that are farther apart than they are, which helps where the values are few.
        """
        if self == other or not self.count:
            return 0.0
        apart = math.dist(self.sketch, other.sketch) / math.sqrt(self.count)
        return max(apart, abs(self.rms - other.rms), abs(self.mean - other.mean))

    @property
    def text(self) -> str:
        """What a person may want of it.

        >>> Fingerprint(count=2, norm=5.0, mean=3.5, low=3.0, high=4.0, sketch=(), nan=1).text
        'rms 3.536, mean 3.5, from 3 to 4, 1 NaN'
        """
        odd = "".join(f", {count} {name}" for name, count in (("NaN", self.nan), ("Inf", self.inf)) if count)
        return f"rms {self.rms:.4g}, mean {self.mean:.4g}, from {self.low:.4g} to {self.high:.4g}{odd}"
