"""A batch that could not be loaded, as plain facts: which samples it is of, what they hold, and which of them fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from tensorcheck.lineage import Lineage
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


class Unfit(StrEnum):
    """Why `default_collate` takes no such value."""

    TYPE = "type"
    SPARSE = "sparse"
    NESTED = "nested"
    DTYPE = "dtype"
    STRIDES = "strides"
    OVERFLOW = "overflow"
    GRAD = "grad"
    """A tensor with a graph, which no worker can send."""


Family = Literal["tensor", "array", "number", "text", "mapping", "sequence", "other"]
"""What `default_collate` treats alike."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a sample or a part of it is.

    >>> str(Value("Tensor", "tensor", TensorMeta((3, 8), "float32", "cpu"))), str(Value("tuple", "sequence", length=2))
    ('float32[3, 8]', 'tuple of 2')
    """

    kind: str
    """The name of its class, with the module's in front unless it is built in: `PIL.Image.Image`."""
    family: Family
    meta: TensorMeta | None = None
    length: int | None = None
    parts: tuple[tuple[str, "Value"], ...] = ()
    """What it holds, each part by its subscript: `["image"]`, `[1]`."""
    plain: object = None
    """The number or string itself, if it is a short one."""
    unfit: Unfit | None = None

    def part(self, subscript: str) -> "Value | None":
        """What it holds at a subscript."""
        return next((value for key, value in self.parts if key == subscript), None)

    def at(self, path: Sequence[str]) -> "Value | None":
        """What it holds at the end of several subscripts."""
        found: Value | None = self
        for subscript in path:
            found = found.part(subscript) if found is not None else None
        return found

    def __str__(self) -> str:
        if self.meta is not None:
            return self.meta.notation
        if self.length is not None:
            return f"{self.kind} of {self.length}"
        return self.kind


@dataclass(frozen=True, slots=True)
class Named:
    """What an expression of the user's stood for when a line failed.

    >>> str(Named("word", "'first'"))
    "`word` is 'first'"
    """

    name: str
    shown: str
    lineage: Lineage = field(default_factory=Lineage)

    def __str__(self) -> str:
        return f"`{self.name}` is {self.shown}"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception of the user's own code: of a dataset, a collate function or a worker's first function."""

    error: str
    message: str
    site: Site | None
    """The user's line that raised it."""
    function: str
    """The function that PyTorch called: `__getitem__`, `collate`."""
    named: tuple[Named, ...] = ()
    """What stood in the failing expression."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a batch."""

    index: int | str
    """What its dataset is asked for, below subsets and joins; `entry 3` where only its place in the batch is known."""
    value: Value | None = None
    failure: Failure | None = None

    @property
    def name(self) -> str:
        """How a reader is told of it.

        >>> Sample(3).name, Sample("entry 3").name
        ('sample 3', 'entry 3')
        """
        return self.index if isinstance(self.index, str) else f"sample {self.index}"


@dataclass(frozen=True, slots=True)
class FirstLook:
    """A line of a dataset's own code, and what it then held.

    >>> str(FirstLook(Site("data.py", 7, code="wave[:800]"), Value("list", "sequence", length=511)).value)
    'list of 511'
    """

    site: Site
    value: Value


Mismatch = Literal["type", "shape", "device", "length", "keys"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The first part of the samples that can't be made a batch."""

    path: tuple[str, ...]
    """The subscripts that lead to it: `["boxes"]`."""
    mismatch: Mismatch | None
    """In what the samples differ; None where a value does not fit at all."""
    odd: Sample
    """The sample that has it."""
    odd_value: Value
    other: Sample | None = None
    """One that it differs from."""
    other_value: Value | None = None
    lineage: Lineage = field(default_factory=Lineage)
    """Where the dataset's source makes this part, the returned expression first."""
    first: "FirstLook | None" = None
    """Where a value first looked so while the odd sample was made once more, and none while the other was."""

    @property
    def key(self) -> str:
        """The last subscript without its brackets: `boxes`, `1`; empty where the sample itself is meant."""
        return self.path[-1][1:-1].strip('"') if self.path else ""


@dataclass(frozen=True, slots=True)
class Cut:
    """A slice that ran beyond the end of a dim, so that it came out shorter than its line says.

    >>> str(Cut(Site("crops.py", 7, code="image[rows]"), "left", 40, 64, 48))
    '`image[rows]` takes 40 to 64 of 48'
    """

    site: Site
    start_name: str
    """The expression that says where the slice starts."""
    start: int
    stop: int
    size: int
    lineage: Lineage = field(default_factory=Lineage)
    """Where the start came from."""

    def __str__(self) -> str:
        return f"`{self.site.code}` takes {self.start} to {self.stop} of {self.size}"


Part = Literal["sample", "collate", "start", "worker", "sampler", "loader", "settings", "columns", "split", "unpacking"]
"""What failed: a sample, the making of a batch of them, a worker before its first batch, a worker as a process, the
sampler, or anything else of the loader; before it ran, its own construction, that of a TensorDataset or of a split; and
after it, the line that takes a batch apart."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How a batch was loaded that failed."""

    part: Part
    dataset: str
    """The name of the class that makes the samples, below subsets and joins of it."""
    is_stream: bool = False
    length: int | None = None
    length_site: Site | None = None
    """What its `__len__` returns."""
    item_site: Site | None = None
    """What its `__getitem__` or `__iter__` returns, where there is just one."""
    column: TensorMeta | None = None
    """The first tensor of a TensorDataset."""
    keys: tuple[str, ...] = ()
    """The keys of a dataset that is a dictionary."""
    lacks: tuple[str, ...] = ()
    """Methods that every dataset of its kind needs and that it does not have."""
    sampler: str = ""
    """The sampler, if it is none of PyTorch's own that goes by the dataset: the name of its class, or what it is."""
    sampler_lineage: Lineage = field(default_factory=Lineage)
    """Where the sampler was built, if its user built it."""
    indices: tuple[int | str, ...] = ()
    """What the dataset is asked for in this batch; empty where that is not known."""
    position: int | None = None
    """Of a stream, how many samples it had given before."""
    worker: int | None = None
    workers: int = 0
    collate: str = ""
    """The name of the user's own collate function."""
    samples: tuple[Sample, ...] = ()
    is_asked: bool = False
    """Whether the samples were asked for again, after the crash."""
    fault: Fault | None = None
    failure: Failure | None = None
    failing: Sample | None = None
    """The sample that raised."""
    cut: Cut | None = None
    built: Site | None = None
    """Where the loader was built."""
    columns: tuple[TensorMeta, ...] = ()
    """Of a TensorDataset that was not built, its columns."""
    lengths: tuple[int | float, ...] = ()
    """Of a split, the lengths of its parts."""
    unpacked: tuple[str, ...] = ()
    """The names that a line takes a batch apart for."""
    fields: tuple[str, ...] = ()
    """What such a batch has, as far as it is known."""


def first_fault(samples: Sequence[Sample], path: tuple[str, ...] = ()) -> Fault | None:
    """The first part, in the order of `default_collate`, that can't be made a batch.

    >>> few, many = (Value("list", "sequence", length=length) for length in (1, 2))
    >>> fault = first_fault([Sample(0, few), Sample(1, few), Sample(2, many)])
    >>> fault.mismatch, fault.odd.index, str(fault.odd_value)
    ('length', 2, 'list of 2')
    """
    values = [sample.value.at(path) if sample.value is not None else None for sample in samples]
    known = [(sample, value) for sample, value in zip(samples, values, strict=True) if value is not None]
    if not known:
        return None
    for sample, value in known:
        if value.unfit is not None:
            return _against(Fault(path, None, sample, value), known)
    return _mismatch(known, path) or _within(samples, known, path)


_Known = Sequence[tuple[Sample, Value]]


def _against(fault: Fault, known: _Known) -> Fault:
    """The fault with a sample that has none."""
    good = next(((sample, value) for sample, value in known if value.unfit is None), (None, None))
    return replace(fault, other=good[0], other_value=good[1])


def _mismatch(known: _Known, path: tuple[str, ...]) -> Fault | None:
    for mismatch in _MISMATCHES[known[0][1].family]:
        seen = [_trait(value, mismatch) for _, value in known]
        usual = max(seen, key=seen.count)
        odd = next((place for place, trait in enumerate(seen) if trait != usual), None)
        if odd is not None:
            return Fault(path, mismatch, *known[odd], *known[seen.index(usual)])
    return None


_MISMATCHES: Mapping[Family, tuple[Mismatch, ...]] = {
    "tensor": ("type", "shape", "device"),
    "array": ("type", "shape"),
    "number": ("type",),
    "text": (),
    "mapping": ("type",),
    "sequence": ("type", "length"),
    "other": (),
}
"""In what samples must be equal, by what the first of them is: text is not compared, for it is only listed."""


def _trait(value: Value, mismatch: Mismatch) -> object:
    match mismatch:
        case "type":
            return value.family
        case "shape":
            return value.meta.shape if value.meta is not None else None
        case "device":
            return value.meta.device if value.meta is not None else None
        case _:
            return value.length


def _within(samples: Sequence[Sample], known: _Known, path: tuple[str, ...]) -> Fault | None:
    """The first fault of the parts; a key that a later sample has not is one."""
    first = known[0]
    for subscript, _ in first[1].parts:
        without = next(((sample, value) for sample, value in known if value.part(subscript) is None), None)
        if without is not None and first[1].family == "mapping":
            return Fault((*path, subscript), "keys", *without, *first)
        fault = first_fault(samples, (*path, subscript))
        if fault is not None:
            return fault
    return None
