"""What the plugin's fixtures hand to a test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch

from tensorcheck.devices.scope import HERE
from tensorcheck.devices.simulating import simulate_device
from tensorcheck.findings import Finding
from tensorcheck.plugin.keeper import TEST
from tensorcheck.watching import Watch, watch


@contextmanager
def watch_in_test(request: pytest.FixtureRequest) -> Iterator[Callable[..., Watch]]:
    """A function like `tensorcheck.watch`; what it opens is closed at the end, and errors fail the test."""
    watched = request.node.stash.get(TEST, None)  # None where everything is off
    opened: list[Watch] = []

    def open_watch(*targets: Any, **options: Any) -> Watch:  # noqa: ANN401 - what `watch` takes
        options.setdefault("on_finding", list[Finding]().append)
        opened.append(watch(*targets, **options))
        if watched is not None:
            watched.watches.append(opened[-1])
        return opened[-1]

    try:
        yield open_watch
    finally:
        for each in opened:
            each.close()


@contextmanager
def accelerator_in_test(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """An accelerator that is not there, unless the test has one already."""
    named = [mark.kwargs.get("simulate_device") for mark in request.node.iter_markers("tensorcheck")]
    kind = next(filter(None, named), "")
    with ExitStack() as stack:
        there = [each.kind for each in HERE.simulations if kind in ("", each.kind)]
        if not there:
            stack.enter_context(simulate_device(kind or "cuda"))
        yield torch.device(there[-1] if there else kind or "cuda")
