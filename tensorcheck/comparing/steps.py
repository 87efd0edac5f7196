"""One step of two runs, walked through operation by operation."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from tensorcheck.comparing.comparison import HARMLESS, Aspect, Parting, Place, Unmatched
from tensorcheck.comparing.matching import match, renamed, renamed_parameter
from tensorcheck.comparing.notes import Sides, notes_of_result, notes_of_source
from tensorcheck.comparing.tolerances import (
    WIDEST,
    Rounding,
    Tolerance,
    eps,
    of_result,
    of_source,
    of_update,
    share,
    worst,
)
from tensorcheck.elementwise import plain_name
from tensorcheck.fingerprints import Fingerprint
from tensorcheck.trace import Operation, Origin, Trace, Value

_BACKWARD = 2.0
"""How many times the errors of the forward pass those of the gradients are."""
_STATISTICS = 2.0
"""How many times the errors of what they are taken of those of running statistics are."""
_OPTIMIZER_STEP = "step"


_UNINITIALISED = frozenset(["empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted"])
"""What makes tensors whose values mean nothing yet."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The tolerances that were asked for in place of those that follow from dtype and depth.

    >>> Limits(rtol=1e-3).tolerance(Rounding()).relative
    0.001
    """

    rtol: float | None = None
    atol: float | None = None

    @property
    def are_asked_for(self) -> bool:
        """Whether there are any."""
        return self.rtol is not None or self.atol is not None

    def tolerance(self, rounding: Rounding, absolute: float = 0.0) -> Tolerance:
        """The tolerance for values that may carry these errors, and may be off by so much besides."""
        if not self.are_asked_for:
            return replace(rounding.tolerance(), absolute=absolute)
        asked = [name for name, value in (("--rtol", self.rtol), ("--atol", self.atol)) if value is not None]
        return Tolerance(self.rtol or 0.0, self.atol or 0.0, " and ".join(asked))


class ComparedStep:
    """One step of two runs, compared when it is made."""

    def __init__(self, left: Trace, right: Trace, limits: Limits, carried: Mapping[str, Rounding]) -> None:
        self.left, self.right = left, right
        self._limits, self._carried = limits, carried
        self._matching = match(left, right)
        self.renames = self._matching.renames
        self.operations = self.values = self.gradients = self.undecided = 0
        self.widest: Tolerance | None = None
        self._roundings: dict[int, Rounding] = {}
        """Of the values of the left run."""
        self._unequal: set[int] = set()
        """Those of its values whose fingerprints are not those of the right run."""
        self._met: set[int] = set()
        """Those of its values that were read, and that no operation made."""
        self._gradients_off: dict[str, float] = {}
        """How far the gradient of each parameter is off, as a share of itself."""
        self._carried_on: dict[str, Rounding] = {}
        self.unmatched: list[Unmatched] = []
        self.partings = list(self._walk())

    def renamed(self, path: str) -> str:
        """The path in the right run of a module of the left one."""
        return renamed(path, self.renames)

    def carried(self) -> Mapping[str, Rounding]:
        """The errors that the parameters bring into the next step."""
        return {**self._carried, **self._carried_on}

    def _walk(self) -> Iterator[Parting]:
        is_before_step = True
        for one, two in self._matching.pairs:
            if is_before_step and one is not None and self._steps(self.left.operations[one]):
                is_before_step = False
                yield from self._gradients()
            if one is None or two is None:
                self._left_over(one, two)
            else:
                yield from self._operation(self.left.operations[one], self.right.operations[two])
        if is_before_step:
            yield from self._gradients()

    @staticmethod
    def _steps(operation: Operation) -> bool:
        return operation.name == _OPTIMIZER_STEP and not operation.module

    def _left_over(self, one: int | None, two: int | None) -> None:
        if one is not None:
            operation = self.left.operations[one]
            self.unmatched.append(Unmatched(self.left.step, is_left=True, what=operation))
            rounding = self._of_inputs(operation)
            self._roundings |= dict.fromkeys(operation.outputs, rounding)
            self._unequal |= set(operation.outputs)
        if two is not None:
            self.unmatched.append(Unmatched(self.left.step, is_left=False, what=self.right.operations[two]))

    def _operation(self, left: Operation, right: Operation) -> Iterator[Parting]:
        self.operations += 1
        yield from self._sources(left, right)
        results = self._updated if self._steps(left) else self._made
        for parting in results(left, right):
            steps = Sides(self.left, self.right, self.renames, self.unmatched)
            yield _noted(parting, notes_of_result(steps, left, right))

    def _made(self, left: Operation, right: Operation) -> Iterator[Parting]:
        """What an operation made."""
        known = [self.left.values[place] for place in left.inputs]
        is_exact = not self._unequal.intersection(left.inputs)
        for one, two in zip(left.outputs, right.outputs, strict=False):
            ours, theirs = self.left.values[one], self.right.values[two]
            rounding = self._of_inputs(left, ours).after(of_result(left, known, ours, theirs.meta))
            self._roundings[one] = rounding
            if plain_name(left) in _UNINITIALISED:
                self._unequal.add(one)
                continue
            yield from self._parted(Place(ours, left), Place(theirs, right), rounding, is_exact=is_exact, at=one)

    def _updated(self, left: Operation, right: Operation) -> Iterator[Parting]:
        """The weights after an optimizer's step; those that are hardly more than one update are measured beside all."""
        before = {place: self.left.values[place] for place in left.inputs}
        made = [self.left.values[place].fingerprint for place in left.outputs]
        scale = max((each.rms for each in made if each is not None), default=0.0)
        for old, one, two in zip(left.inputs, left.outputs, right.outputs, strict=False):
            ours, theirs, name = self.left.values[one], self.right.values[two], before[old].name
            off = of_update(before[old].fingerprint, ours.fingerprint, self._gradients_off.get(name, 0.0))
            rounding = self._of_gradients()
            self._roundings[one] = rounding
            self._carried_on[name] = rounding.after(Rounding(updates=_carried(ours, theirs, off) ** 2))
            places = Place(replace(ours, name=name), left), Place(replace(theirs, name=name), right)
            yield from self._parted(*places, rounding, is_exact=True, scale=scale, absolute=off)

    def _of_inputs(self, operation: Operation, made: Value | None = None) -> Rounding:
        fingerprint = None if made is None else made.fingerprint
        shares = [(place, share(operation, self.left.values[place], fingerprint)) for place in operation.inputs]
        return worst([self._roundings.get(place, Rounding()).grown(factor) for place, factor in shares])

    def _sources(self, left: Operation, right: Operation) -> Iterator[Parting]:
        """What both read that nothing in the step made, each once."""
        for one, two in self._pairs_of_sources(left, right):
            if one not in self._met:
                self._met.add(one)
                ours, theirs = self.left.values[one], self.right.values[two]
                rounding = self._of_source(ours, theirs, left)
                self._roundings[one] = rounding
                for parting in self._parted(Place(ours, left), Place(theirs, right), rounding, is_exact=True, at=one):
                    is_explained = parting.aspect is Aspect.VALUES
                    yield _noted(parting, notes_of_source(ours, self.left.step) if is_explained else ())

    def _of_source(self, left: Value, right: Value, reader: Operation) -> Rounding:
        own = self._carried.get(left.name) or of_source(left.meta, right.meta)
        if left.origin is Origin.BUFFER:  # which whoever read it may just have changed: running statistics
            return worst([own, self._of_inputs(reader)]).after(own).grown(_STATISTICS)
        return own

    def _pairs_of_sources(self, left: Operation, right: Operation) -> Iterator[tuple[int, int]]:
        ours = [place for place in left.inputs if self.left.values[place].operation is None]
        theirs = [place for place in right.inputs if self.right.values[place].operation is None]
        names = {self._named(self.right.values[place]): place for place in theirs if self.right.values[place].name}
        for place in ours:
            value = self.left.values[place]
            name = (value.origin, renamed_parameter(value.name, self.renames))
            if value.name and name in names:
                yield place, names[name]
        nameless = [place for place in ours if not self.left.values[place].name]
        yield from zip(nameless, (place for place in theirs if not self.right.values[place].name), strict=False)

    @staticmethod
    def _named(value: Value) -> tuple[Origin | None, str]:
        return value.origin, value.name

    def _gradients(self) -> Iterator[Parting]:
        ours = {renamed_parameter(value.name, self.renames): value for value in self.left.gradients}
        theirs = {value.name: value for value in self.right.gradients}
        rounding = self._of_gradients()
        known = [value.fingerprint for value in self.left.gradients]
        scale = max((each.rms for each in known if each is not None), default=0.0)
        for name in {**ours, **theirs}:
            if name in ours and name in theirs:
                self.gradients += 1
                places = Place(ours[name]), Place(theirs[name])
                self._gradients_off[ours[name].name] = _off(*places)
                yield from self._parted(*places, rounding, is_exact=True, scale=scale)
            elif self.left.gradients and self.right.gradients:
                self.unmatched.append(Unmatched(self.left.step, is_left=name in ours, what=name))

    def _of_gradients(self) -> Rounding:
        return worst(list(self._roundings.values())).grown(_BACKWARD)

    def _parted(  # noqa: PLR0913 - the figures that two values are judged by
        self,
        left: Place,
        right: Place,
        rounding: Rounding,
        *,
        is_exact: bool,
        scale: float = 0.0,
        absolute: float = 0.0,
        at: int | None = None,
    ) -> Iterator[Parting]:
        """Everything in which two values are not alike; `at` is the left one's place in its trace."""
        yield from _facts(self.left.step, left, right)
        one, two = left.value.fingerprint, right.value.fingerprint
        if one is None or two is None or one.count != two.count:
            if at is not None:
                self._unequal.add(at)
            return
        if one != two and at is not None:
            self._unequal.add(at)
        tolerance = self._limits.tolerance(rounding, absolute)
        is_discrete = not (eps(left.value.meta.dtype) and eps(right.value.meta.dtype))
        tells_nothing = tolerance.relative > WIDEST and not self._limits.are_asked_for
        if one == two:
            self.values += 1
        elif _is_alike(one, two) and ((is_discrete and not is_exact) or tells_nothing):
            self.undecided += 1
        else:
            self.values += 1
            yield from self._values(left, right, tolerance, scale)

    def _values(self, left: Place, right: Place, tolerance: Tolerance, scale: float) -> Iterator[Parting]:
        one, two = left.value.fingerprint, right.value.fingerprint
        if one is None or two is None:
            return
        size, distance = max(one.rms, two.rms), one.distance(two)
        if _is_alike(one, two) and tolerance.allows(distance, max(size, scale)):
            if self.widest is None or tolerance.relative > self.widest.relative:
                self.widest = tolerance
            return
        off = distance / size if size else 0.0
        yield Parting(self.left.step, Aspect.VALUES, left, right, distance=off, tolerance=tolerance)


def _off(left: Place, right: Place) -> float:
    """How far apart the values of two places are, as a share of their own size."""
    one, two = left.value.fingerprint, right.value.fingerprint
    return one.distance(two) / one.rms if one is not None and two is not None and one.rms else 0.0


def _carried(left: Value, right: Value, off: float) -> float:
    """What an updated weight is off by as a share of its own size: as may be, or as it is."""
    one, two = left.fingerprint, right.fingerprint
    return max(off, one.distance(two)) / one.rms if one is not None and two is not None and one.rms else 0.0


def _is_alike(one: Fingerprint, two: Fingerprint) -> bool:
    return (one.nan, one.inf) == (two.nan, two.inf)


def _facts(step: int, left: Place, right: Place) -> Iterator[Parting]:
    one, two = left.value.meta, right.value.meta
    for aspect, ours, theirs in (
        (Aspect.SHAPE, one.shape, two.shape),
        (Aspect.DTYPE, one.dtype, two.dtype),
        (Aspect.DEVICE, one.device, two.device),
        (Aspect.REQUIRES_GRAD, one.requires_grad, two.requires_grad),
    ):
        if ours != theirs:
            yield Parting(step, aspect, left, right)


def _noted(parting: Parting, notes: Iterable[str]) -> Parting:
    return replace(parting, notes=() if parting.aspect in HARMLESS else tuple(notes))
