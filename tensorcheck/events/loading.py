"""What a DataLoader did."""

from dataclasses import dataclass

from tensorcheck.events.event import Event
from tensorcheck.modules import LoaderMeta
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor


@dataclass(frozen=True, slots=True)
class BatchLoaded(Event):
    """A DataLoader handed out a batch whose fields look like none before."""

    fields: tuple[NamedTensor, ...]
    loader: LoaderMeta
    site: Site | None
