"""Metrics of torchmetrics that go on from one pass over the data to the next.

`Metric.compute` is wrapped in each object when that is built, so it is heard by `sync_context`, which it enters each
time that it really computes. The value that `forward` gives for one batch does not count.
"""

import ast
import sys
import weakref
from contextlib import ExitStack
from typing import Any, ClassVar

from torch.utils.data import dataloader

from tensorcheck.events.event import Event
from tensorcheck.events.passes import MetricAccumulated
from tensorcheck.observe.frames import expression_at, user_frame
from tensorcheck.observe.passes import weakly
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators


class MetricProbe(Probe):
    """Hears the ends of passes over DataLoaders, and the metrics that are computed after one and before the next."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({MetricAccumulated})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._handles = ExitStack()
        self._is_attached = False
        self._passes = 0
        """How many passes are over."""
        self._is_between = False
        self._computed: dict[int, tuple[weakref.ref[Any], int, int]] = {}
        """Each metric's updates when it was last computed between two passes, and how many were over then."""

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base; torchmetrics may yet have to be imported."""
        self._handles = handles
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        self._is_between = False
        if not self._is_attached and "torchmetrics" in sys.modules:
            self._attach_metrics()

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """A pass has come to its end; other probes explain what else is raised."""
        if isinstance(error, StopIteration):
            self._passes += 1
            self._is_between = True

    def _attach_metrics(self) -> None:
        metric = getattr(sys.modules["torchmetrics"], "Metric", None)  # None while it is being imported
        if isinstance(metric, type) and hasattr(metric, "sync_context"):
            self._is_attached = True
            self._handles.enter_context(PATCHES.patch_attribute(metric, "sync_context", _Computations(self)))

    def computed(self, metric: Any) -> None:  # noqa: ANN401 - any metric
        """A metric computes what it has been given so far."""
        updates = getattr(metric, "_update_count", None)
        if not self._is_between or not isinstance(updates, int) or not self.sink.hears_this_thread():
            return
        known, before, passes = self._computed.get(id(metric), (None, 0, 0))
        self._computed[id(metric)] = (weakly(metric), updates, self._passes)
        is_again = known is not None and known() is metric and passes < self._passes
        if is_again and before > 1 and updates == 2 * before:
            self._tell(metric, before, updates)

    def _tell(self, metric: object, before: int, updates: int) -> None:
        frame = user_frame()
        node = expression_at(frame.f_code, frame.f_lasti) if frame is not None else None
        is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        event = MetricAccumulated(
            step=self.sink.step,
            kind=type(metric).__name__,
            name=ast.unparse(node.func.value) if is_method else "",  # type: ignore[union-attr]  # just looked at
            before=before,
            updates=updates,
            site=self.sink.sites.here(),
        )
        self.sink.emit(event)


class _Computations(Listener):
    """Hears metrics compute."""

    def __init__(self, probe: MetricProbe) -> None:
        self._probe = probe

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A metric is about to compute; for the value of one batch it does not synchronise."""
        if kwargs.get("should_sync", True):
            self._probe.computed(args[0])

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._probe.fault(error)
