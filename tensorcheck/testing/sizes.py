"""Names of sizes that hold across several assertions."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Known:
    """The sizes that names have so far."""

    sizes: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Which tensor each was learned from."""


KNOWN: ContextVar[Known | None] = ContextVar("tensorcheck_sizes", default=None)
"""What is known within `dims`; None outside of any."""


@contextmanager
def dims(**sizes: int) -> Iterator[dict[str, Any]]:
    """Within, a name is the same size in every assertion; those that are given are known from the start.

    What was learned is in the dictionary that `as` names. A `dims` within another starts with what that one knows, and
    keeps what it learns to itself.

    >>> import torch
    >>> from tensorcheck.testing import assert_shape
    >>> with dims(classes=10) as known:
    ...     assert_shape(torch.zeros(8, 28, 28), "batch h w")
    ...     assert_shape(torch.zeros(8, 10), "batch classes")
    >>> known["batch"]
    8
    """
    outer = KNOWN.get() or Known()
    known = Known({**outer.sizes, **sizes}, {**outer.sources, **dict.fromkeys(sizes, "`dims`")})
    before = KNOWN.set(known)
    try:
        yield known.sizes
    finally:
        KNOWN.reset(before)
