"""What a dataset says of itself without being asked for a sample."""

from collections.abc import Iterator
from types import FunctionType
from typing import Any

from torch.utils.data import Dataset, IterableDataset, TensorDataset

from tensorcheck.loading import Loading, Part
from tensorcheck.observe.branches import results
from tensorcheck.observe.datasets import innermost
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.entering import scope_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.sources import sample_site
from tensorcheck.sites import Site

_MOST_KEYS = 8


def known_of(part: Part, dataset: Any) -> Loading:  # noqa: ANN401 - any object may be a dataset
    """A failure of this part, and the dataset that makes the samples."""
    inner = innermost(dataset)
    return Loading(
        part=part,
        dataset=type(inner).__name__,
        is_stream=isinstance(inner, IterableDataset),
        length=_length(inner),
        length_site=_length_site(inner),
        item_site=sample_site(inner),
        column=tensor_meta(inner.tensors[0]) if isinstance(inner, TensorDataset) and inner.tensors else None,
        keys=tuple(repr(key) for key in list(inner)[:_MOST_KEYS]) if isinstance(inner, dict) else (),
        lacks=tuple(_lacks(inner)),
    )


def _length(dataset: Any) -> int | None:  # noqa: ANN401 - likewise
    try:
        return len(dataset)
    except Exception:  # noqa: BLE001 - a stream has none, and a user's own may raise anything
        return None


def _length_site(dataset: object) -> Site | None:
    function = getattr(type(dataset), "__len__", None)
    scope = scope_of(function, dataset) if isinstance(function, FunctionType) else None
    found = [node for node, _ in results(scope)] if scope is not None else []
    return site_of_node(found[0], scope.filename, scope.function) if scope is not None and len(found) == 1 else None


def _lacks(dataset: object) -> Iterator[str]:
    """What every dataset of its kind has, and it has not."""
    kind = type(dataset)
    if isinstance(dataset, IterableDataset):
        return
    items = vars(Dataset).get("__getitem__")
    has_item = getattr(kind, "__getitem__", None) not in (None, items) or hasattr(kind, "__getitems__")
    if not has_item:
        yield "__getitem__"
    if not hasattr(kind, "__len__"):
        yield "__len__"
