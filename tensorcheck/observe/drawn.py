"""The indices that the samplers of DataLoaders with workers gave last."""

import weakref
from collections import deque
from typing import Any


class DrawnIndices:
    """The indices that were last drawn for each DataLoader that is being iterated."""

    def __init__(self) -> None:
        self._drawn: weakref.WeakKeyDictionary[Any, deque[tuple[int, Any]]] = weakref.WeakKeyDictionary()

    def add(self, iterator: Any, indices: Any) -> None:  # noqa: ANN401 - a private class of torch, any sampler's answer
        """The sampler gave the next batch's indices."""
        known = self._drawn.get(iterator)
        if known is None:
            known = self._drawn[iterator] = deque(maxlen=iterator._prefetch_factor * iterator._num_workers + 1)  # noqa: SLF001
        known.append((iterator._send_idx, indices))  # noqa: SLF001 - the number of the batch that they are for

    def of(self, iterator: Any, batch: int) -> Any:  # noqa: ANN401 - likewise
        """What was drawn for a batch; None where that is not known."""
        return dict(self._drawn.get(iterator, ())).get(batch)
