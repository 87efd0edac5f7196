"""How far the values of two runs may be apart that differ in rounding alone: in a dtype, a device, an order of sums.

Each operation rounds its result to its dtype, which is off by at most half of the dtype's eps, and adds up some number
of products in the dtype that it accumulates in, which for 16-bit numbers is float32. Independent errors grow with the
root of their number, so what is carried along is their squares: a value's are those of the worst of what it was made
of, and its own. `docs/comparing.md` has the figures that the margin was measured with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tensorcheck.elementwise import is_elementwise, plain_name
from tensorcheck.fingerprints import Fingerprint
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Operation, Value

MARGIN = 2.0
"""How many times the expected error is still taken for rounding."""
WIDEST = 0.5
"""A tolerance above this would tell nothing: two tensors that have nothing to do with each other are 1.4 apart."""
_EPS = {
    "float64": 2.0**-52,
    "complex128": 2.0**-52,
    "float32": 2.0**-23,
    "complex64": 2.0**-23,
    "float16": 2.0**-10,
    "complex32": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float8_e4m3fn": 2.0**-3,
    "float8_e5m2": 2.0**-2,
}
_INSIDE = 4
"""Roundings that an operation is taken to make on each element: a softmax or a normalisation makes several."""
_TF32 = 2.0**-10
"""What a convolution on an accelerator multiplies in, unless that was switched off."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far apart two values may be, as a share of their root mean square, and where that number comes from.

    >>> print(Tolerance(1e-5, 0.0, "--rtol"))
    1e-05 of the rms (--rtol)
    """

    relative: float
    absolute: float = 0.0
    source: str = ""

    def allows(self, distance: float, scale: float) -> bool:
        """Whether this distance is one of rounding, between values of this size."""
        return distance <= self.absolute + self.relative * scale

    def __str__(self) -> str:
        more = f" + {self.absolute:.2g}" if self.absolute else ""
        return f"{self.relative:.2g} of the rms{more} ({self.source})"


@dataclass(frozen=True, slots=True)
class Rounding:
    """The squared errors that a value may carry, in all, and the coarsest dtype on the way to it."""

    squares: float = 0.0
    dtype: str = ""
    updates: float = 0.0
    """Those that came of optimizers, which may make much of a gradient that is hardly more than rounding."""

    def after(self, other: "Rounding") -> "Rounding":
        """After one more operation, with errors of its own.

        >>> Rounding(1.0, "bfloat16").after(Rounding(2.0, "float32"))
        Rounding(squares=3.0, dtype='bfloat16', updates=0.0)
        """
        return Rounding(self.squares + other.squares, coarser(self.dtype, other.dtype), self.updates + other.updates)

    def grown(self, factor: float) -> "Rounding":
        """With errors that many times as large."""
        return Rounding(self.squares * factor**2, self.dtype, self.updates * factor**2)

    @property
    def total(self) -> float:
        """All squared errors."""
        return self.squares + self.updates

    def tolerance(self) -> Tolerance:
        """What is still rounding.

        >>> print(Rounding(9 * 2.0**-46, "float32").tolerance())
        7.2e-07 of the rms (2 times float32's eps, 9 roundings)
        """
        return Tolerance(MARGIN * math.sqrt(self.total), source=self._source())

    def _source(self) -> str:
        if not eps(self.dtype):
            return "integers"
        roundings = max(round(self.squares / eps(self.dtype) ** 2), 1)
        more = ", and weights moved by gradients that are hardly more" if self.updates > self.squares else ""
        return f"{MARGIN:g} times {self.dtype}'s eps, {roundings:,} rounding{'s' * (roundings != 1)}{more}"


def eps(dtype: str) -> float:
    """The distance from 1 to the next number; 0 for integers.

    >>> eps("bfloat16"), eps("int64")
    (0.0078125, 0.0)
    """
    return _EPS.get(dtype, 0.0)


def coarser(one: str, other: str) -> str:
    """The dtype of the larger eps."""
    return max(one, other, key=eps)


def worst(roundings: Sequence[Rounding]) -> Rounding:
    """The errors of what was made of several values."""
    dtype = max((each.dtype for each in roundings), key=eps, default="")
    of_worst = max(roundings, key=lambda each: each.total, default=Rounding())
    return replace(of_worst, dtype=dtype)


def of_source(one: TensorMeta, other: TensorMeta) -> Rounding:
    """The errors of what no traced operation made: it may have been rounded to its dtype."""
    dtype = coarser(one.dtype, other.dtype)
    return Rounding(eps(dtype) ** 2, dtype)


def of_result(operation: Operation, inputs: Sequence[Value], made: Value, other: TensorMeta) -> Rounding:
    """The errors that an operation itself makes, in the coarser of two runs."""
    dtype = coarser(made.meta.dtype, other.dtype)
    products = "float32" if eps(dtype) > eps("float32") else dtype
    exactness = eps(products)
    if operation.name.startswith("conv") and made.meta.device.partition(":")[0] != other.device.partition(":")[0]:
        exactness = max(exactness, _TF32)
    return Rounding(_INSIDE * eps(dtype) ** 2 + _accumulated(operation, inputs, made) * exactness**2, dtype)


def _accumulated(operation: Operation, inputs: Sequence[Value], made: Value) -> float:
    """About how many numbers are added up for each of the result: of a product of matrices, exactly so many."""
    sizes = sorted((math.prod(each.meta.shape) for each in inputs if eps(each.meta.dtype)), reverse=True)
    results = max(math.prod(made.meta.shape), 1)
    if not sizes or is_elementwise(operation):
        return 1.0
    if len(sizes) == 1:
        return max(sizes[0] / results, 1.0)
    return max(min(math.sqrt(sizes[0] * sizes[1] / results), sizes[0]), 1.0)


def share(operation: Operation, given: Value, made: Fingerprint | None) -> float:
    """How much of what an input is off by its result is off by, each beside its own size.

    What is added counts by its size. A difference that is smaller than what it was made of is off by more, and so is
    what a normalisation takes the mean away from.
    """
    own = given.fingerprint
    if own is None or made is None or not own.rms or not made.rms:
        return 1.0
    if plain_name(operation) in ("add", "sub"):
        return own.rms / made.rms
    if given.name.endswith("bias"):
        return min(own.rms / made.rms, 1.0)
    deviation = math.sqrt(max(own.rms**2 - own.mean**2, 0.0))
    return own.rms / deviation if "norm" in operation.name and deviation and not given.name else 1.0


def of_update(before: Fingerprint | None, after: Fingerprint | None, gradient: float) -> float:
    """How far a weight may be off after an update, if its gradient is off by this share of itself.

    An optimizer that divides each gradient by its own size, as Adam does, moves a weight by as much whether its
    gradient is noise or not, and in either direction: so do as many weights as the gradient has elements below what it
    is off by.
    """
    if before is None or after is None:
        return 0.0
    return 2 * after.distance(before) * math.sqrt(min(gradient, 1.0))
