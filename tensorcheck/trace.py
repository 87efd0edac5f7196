"""What happened in one traced step, operation by operation, as a graph that any tensor can be followed back in.

Values are numbered in the order in which they came to be, and each knows the operation that made it or, where no
operation was seen to make it, the place that it was found in. So a chain always leads to smaller numbers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heappop, heappush
from pathlib import Path

from tensorcheck.fingerprints import Fingerprint
from tensorcheck.lineage import Lineage, Step
from tensorcheck.modules import ModuleMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


class Origin(StrEnum):
    """What a tensor is that no traced operation made."""

    BATCH = "batch field"
    """A DataLoader handed it out."""
    PARAMETER = "parameter"
    BUFFER = "buffer"
    ATTRIBUTE = "plain attribute"
    """A module holds it without having registered it."""
    UNKNOWN = "made unseen"
    """It was there when the tracing began, or a constructor made it that cannot be seen."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor as it was at one moment; an operation in place makes a new value of the same tensor.

    >>> print(Value(TensorMeta((3,), "float32", "cpu"), origin=Origin.BATCH, name="batch[0]"))
    batch[0]: float32[3] cpu (batch field)
    """

    meta: TensorMeta
    operation: int | None = None
    """The operation that made it, by its place in the trace."""
    origin: Origin | None = None
    """Where it was found: if no operation made it, or if it is a field of a batch, whatever made that."""
    name: str = ""
    """How its owner reaches it: `batch[0]`, `head.weight`."""
    fingerprint: Fingerprint | None = None
    """What its values were like, if that was asked for and they could be read."""

    def __str__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        return f"{name}{self.meta}{f' ({self.origin})' if self.origin else ''}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of a function of PyTorch, as the user or one of PyTorch's own layers made it.

    >>> print(Operation("linear", module="head", kind="Linear", site=None, inputs=(0, 1), outputs=(2,)))
    linear in `head` (Linear)
    """

    name: str
    module: str
    """The dotted path of the module that it ran in; empty outside of all but the watched model itself."""
    kind: str
    """The class of that module; empty outside of the model."""
    site: Site | None
    """The user's line."""
    inputs: tuple[int, ...]
    """The values that it read, by their places in the trace."""
    outputs: tuple[int, ...]
    """The values that it made."""
    call: int = 0
    """Which call of that module in the step it was, counted from 0."""
    is_grad_enabled: bool = field(default=True, compare=False)
    """Whether gradients were recorded when it was over; files do not hold it."""
    grad_off: Site | None = field(default=None, compare=False)
    """What had switched them off, if they were not: `torch.no_grad()`; files do not hold it."""

    def __str__(self) -> str:
        place = f" in `{self.module}` ({self.kind})" if self.module else ""
        return f"{self.name}{place}{f', {self.site}' if self.site else ''}"


@dataclass(frozen=True, slots=True)
class Reading:
    """A call that gave the numbers of a tensor to Python or NumPy: `item`, `numpy`."""

    operation: Operation
    before: int
    """How many operations of the step came before it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The operations and values of one step.

    >>> source = Value(TensorMeta((2,), "float64", "cpu"), origin=Origin.BATCH, name="batch[0]")
    >>> product = Value(TensorMeta((2,), "float64", "cpu"), operation=0)
    >>> trace = Trace(0, (Operation("mul", "", "", None, inputs=(0,), outputs=(1,)),), (source, product))
    >>> [str(value) for value in trace.chain(1)]
    ['float64[2] cpu', 'batch[0]: float64[2] cpu (batch field)']
    """

    step: int
    operations: tuple[Operation, ...] = ()
    values: tuple[Value, ...] = ()
    gradients: tuple[Value, ...] = ()
    """Those with which the optimizers stepped, by the names of their parameters."""
    modules: tuple[ModuleMeta, ...] = ()
    """The modules that were called, as they were then, in the order in which they returned first."""
    readings: tuple[Reading, ...] = field(default=(), compare=False)
    """Where numbers left the graph for Python; files do not hold them."""
    earlier: Mapping[int, int] = field(default_factory=dict, compare=False)
    """Values that the step before had made, by their places, and their places there; files do not hold them."""

    def save(self, path: str | Path) -> None:
        """Write it into a file that `tensorcheck diff` reads; the end of `watch.recorded` writes every traced step."""
        from tensorcheck.comparing.recorded import RecordedRun, environment_here  # noqa: PLC0415 - it imports this file

        RecordedRun(environment=environment_here(), steps=(self,)).save(path)

    def inputs(self, value: int) -> tuple[int, ...]:
        """The values that one was made from."""
        made = self.values[value].operation
        return () if made is None else self.operations[made].inputs

    def ancestors(self, value: int) -> Iterator[int]:
        """The value itself and all that it was made from, the latest first, each once."""
        seen, waiting = {value}, [-value]
        while waiting:
            latest = -heappop(waiting)
            yield latest
            for other in self.inputs(latest):
                if other not in seen:
                    seen.add(other)
                    heappush(waiting, -other)

    def chain(self, value: int) -> Iterator[Value]:
        """From a value back to where it came from, by the input that each operation worked on: its first."""
        place: int | None = value
        while place is not None:
            yield self.values[place]
            place = next(iter(self.inputs(place)), None)

    def __str__(self) -> str:
        """One line an operation: what it made, and where."""
        rows = [
            (str(operation), " + ".join(str(self.values[place]) for place in operation.outputs))
            for operation in self.operations
        ]
        width = max((len(made) for made, _ in rows), default=0)
        return "\n".join(f"{made:<{width}} -> {values}" for made, values in rows)

    def sources(self, value: int) -> Iterator[Value]:
        """The values that one was made from and that were found somewhere: in the end, or on the way in a batch."""
        return (self.values[place] for place in self.ancestors(value) if self.values[place].origin is not None)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a tensor came from: the operations that it went through, back to where it was found.

    >>> source = Value(TensorMeta((2,), "float64", "cpu"), origin=Origin.BATCH, name="batch[0]")
    >>> product = Value(TensorMeta((2,), "float64", "cpu"), operation=0)
    >>> trace = Trace(0, (Operation("mul", "", "", None, inputs=(0,), outputs=(1,)),), (source, product))
    >>> print(Provenance(trace, 1))
    float64[2] cpu
      from mul
      of batch[0]: float64[2] cpu (batch field)
    """

    trace: Trace
    value: int
    lineage: Lineage = field(default_factory=Lineage)
    """The same in the user's source, back to what was made before the trace: an argument, an attribute, a sample."""

    def operations(self) -> Iterator[Operation]:
        """The operations on the way back, the latest first, by the input that each worked on."""
        for value in self.trace.chain(self.value):
            if value.operation is not None:
                yield self.trace.operations[value.operation]

    @property
    def source(self) -> Value:
        """The field of a batch that it went through, or else where the way back ends."""
        values = list(self.trace.chain(self.value))
        return next((value for value in values if value.origin is Origin.BATCH), values[-1])

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        steps = list(self._steps())
        places = dict.fromkeys(
            f"  {place.step} at {place.site}: {place.site.code}"
            for place in self.lineage.way_back(lambda _: True)
            if place.site is not None and place.step is not Step.SPELLED
        )
        return "\n".join([str(self.trace.values[self.value]), *steps, *places])

    def _steps(self) -> Iterator[str]:
        """The way back: each operation, and each value on it that has a name or is the last."""
        place: int | None = self.value
        while place is not None:
            value, before = self.trace.values[place], next(iter(self.trace.inputs(place)), None)
            if place != self.value and (value.origin is not None or before is None):
                yield f"  of {value}"
            if value.operation is not None:
                yield f"  from {self.trace.operations[value.operation]}"
            place = before
