"""The backward pass, however it is started: `Tensor.backward` calls `torch.autograd.backward`."""

from contextlib import ExitStack
from typing import Any, ClassVar

import torch

from tensorcheck.events import BackwardFinished, Event, Stage
from tensorcheck.observe.carried import CarriedGradients
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink


class BackwardProbe(Probe):
    """Hears `backward`, and whether it added to gradients of the step before."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({BackwardFinished})
    stage: ClassVar[Stage] = "backward"

    def __init__(self, sink: Sink, carried: CarriedGradients) -> None:
        super().__init__(sink)
        self._carried = carried

    def attach(self, handles: ExitStack) -> None:
        """Patch `torch.autograd.backward`."""
        handles.enter_context(PATCHES.patch_attribute(torch.autograd, "backward", self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Gradients are about to be added."""
        self._carried.backward_started()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Gradients were added."""
        self._carried.backward_finished()
        if self.sink.hears_this_thread():
            self.sink.emit(BackwardFinished(self.sink.step, self.sink.sites.here()))
