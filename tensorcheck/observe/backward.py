"""The backward pass, however it is started: `Tensor.backward` calls `torch.autograd.backward`."""

from contextlib import ExitStack
from typing import Any, ClassVar

import torch

from tensorcheck.events.backward import BackwardFinished
from tensorcheck.events.crash import Crashed, Stage
from tensorcheck.events.event import Event
from tensorcheck.events.forward import EvaluatedWithGradients
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink


class BackwardProbe(Probe):
    """Hears `backward`, counts it, and tells those who follow gradients."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({BackwardFinished, StepTaken, Crashed, EvaluatedWithGradients})
    stage: ClassVar[Stage] = "backward"

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers

    def attach(self, handles: ExitStack) -> None:
        """Patch `torch.autograd.backward`, and `grad`, which is counted alone."""
        handles.enter_context(PATCHES.patch_attribute(torch.autograd, "backward", self))
        handles.enter_context(PATCHES.patch_attribute(torch.autograd, "grad", _Differentiated(self.sink)))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Gradients are about to be added."""
        for followed in self._optimizers:
            followed.carried.backward_started()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Gradients were added."""
        for followed in self._optimizers:
            followed.carried.backward_finished()
        if self.sink.hears_this_thread():
            self.sink.count_backward()
            self.sink.tracing.recorder.differentiated()
            if self.sink.wants(BackwardFinished):
                self.sink.emit(BackwardFinished(self.sink.step, self.sink.sites.here()))


class _Differentiated(Listener):
    """Counts the calls of `autograd.grad`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Gradients were given away."""
        self._sink.count_differentiation()
