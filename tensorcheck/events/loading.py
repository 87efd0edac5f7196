"""What a DataLoader did."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tensorcheck.events.event import Event, Instrument
from tensorcheck.modules import LoaderMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor, TensorMeta


@dataclass(frozen=True, slots=True)
class BatchLoaded(Event):
    """A DataLoader handed out a batch whose fields look like none before."""

    fields: tuple[NamedTensor, ...]
    loader: LoaderMeta
    site: Site | None


Change = Literal["dtype", "rank", "range"]


@dataclass(frozen=True, slots=True)
class FieldChanged(Event):
    """A field of a DataLoader's batches is not what it was in the batches or samples before."""

    change: Change
    field: str
    """The expression that reaches it: `batch[1]`."""
    dataset: str
    """The class of the dataset."""
    before: str
    after: str
    batch: int
    """How many batches the loader had given before."""
    made: Site | None
    """Where the dataset or the collate function makes it."""
    site: Site | None
    """The loop."""


@dataclass(frozen=True, slots=True)
class BatchNotFinite(Event):
    """A loss was lost in a step whose batch holds NaN or infinity."""

    field: str
    """The expression that reaches it: `batch[0]`."""
    meta: TensorMeta
    kinds: tuple[str, ...]
    """`NaN`, `infinity` or both."""
    count: int
    first: tuple[int, ...]
    """The place of the first of these values."""
    samples: tuple[int, ...]
    """The indices of the samples with such values in the dataset; empty where they are not known."""
    rows: tuple[int, ...]
    """Their places in the batch."""
    dataset: str
    """The class of the dataset."""
    made: Site | None
    """Where the dataset makes the field, or where its data were made."""
    site: Site | None
    """The call of `backward`."""


@dataclass(frozen=True, slots=True)
class PaddingSeen(Event):
    """A tensor of the first step ends in the same value in some samples, sooner in one than in another."""

    instrument: ClassVar[Instrument] = Instrument.TRACE

    value: int | None
    """Its place in the trace; None of a field of a batch, which has a name."""
    name: str
    samples: int
    length: int
    """How long each sample is, padding and all."""
    padding: int
    """How many of all positions are padding."""
    pad: str
    """What stands there."""
    made: Site | None
    """Where the field is made."""
