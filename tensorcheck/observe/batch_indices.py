"""Which samples the batch is made of that a DataLoader handed out last."""

import weakref
from typing import Any

from tensorcheck.observe.patches import Listener
from tensorcheck.observe.probe import Sink


class BatchIndices(Listener):
    """Hears what the samplers give; with workers that is ahead of the batches, and the session remembers it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._given: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """The sampler was asked for the indices of a batch."""
        self._given[args[0]] = result

    def of(self, iterator: Any) -> tuple[int, ...]:  # noqa: ANN401 - a private class of torch
        """The indices in the order of the batch; empty where they are not known."""
        indices = self._of_workers(iterator) if iterator._num_workers else self._given.get(iterator)  # noqa: SLF001 - no public name
        return tuple(each for each in indices if type(each) is int) if isinstance(indices, list | tuple) else ()

    def _of_workers(self, iterator: Any) -> Any:  # noqa: ANN401 - likewise
        return self._sink.drawn.of(iterator, iterator._rcvd_idx - 1)  # noqa: SLF001 - no public name

    def fault(self, error: Exception) -> None:
        """The samples are not named."""
        self._sink.fault(self, error)
