"""The optimizers that were built in a test run: a fixture's outlives the test in which it was built."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

from tensorcheck.observe.patches import PATCHES, Listener


class _Births(Listener):
    """Hears of each optimizer that is built."""

    def __init__(self) -> None:
        super().__init__()
        self.built: weakref.WeakSet[Optimizer] = weakref.WeakSet()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """An optimizer was built."""
        self.built.add(args[0])


@contextmanager
def built_optimizers() -> Iterator[weakref.WeakSet[Optimizer]]:
    """Within, those that are built and still alive."""
    births = _Births()
    with PATCHES.patch_attribute(Optimizer, "__init__", births):
        yield births.built
