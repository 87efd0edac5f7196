"""Whether gradients go through float16 and nothing keeps small ones from becoming zero; asked in one traced step."""

from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.event import Event
from tensorcheck.events.numeric import HalfUnscaled
from tensorcheck.observe.heap import living
from tensorcheck.observe.optimized import parameters_of
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.raw_steps import RawOperation, RawStep, name_of, operation_of
from tensorcheck.observe.readable import may_read
from tensorcheck.sites import Site

_WITH_WEIGHTS = frozenset({"linear", "conv1d", "conv2d", "conv3d", "matmul", "__matmul__", "mm", "bmm", "einsum"})


class HalfGradientProbe(Probe):
    """Looks once, before the second step of an optimizer."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({HalfUnscaled})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._is_scaled = False
        """Whether a loss was multiplied last, as by whoever scales it by hand."""
        self._backward: Site | None = None
        self._is_done = False
        self._patched = ExitStack()

    def attach(self, handles: ExitStack) -> None:
        """Patch `torch.autograd.backward` until the look, and register the hook that all optimizers share."""
        handles.callback(self._patched.close)
        self._patched.enter_context(PATCHES.patch_attribute(torch.autograd, "backward", self))
        handle = register_optimizer_step_pre_hook(timed(self._about_to_step))
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A loss is differentiated."""
        given = args[0] if args else kwargs.get("tensors")
        roots = [given] if isinstance(given, Tensor) else list(given or ())
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read the graph
            nodes = [root.grad_fn for root in roots if isinstance(root, Tensor) and root.grad_fn is not None]
        self._is_scaled = self._is_scaled or any(node.name() == "MulBackward0" for node in nodes)
        self._backward = self.sink.sites.here()

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Another probe explains it."""

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self._is_done or self.is_off or not self.sink.step or not self.sink.hears_this_thread():
            return
        try:
            self._is_done = True
            self._patched.close()
            if self.sink.tracing.is_open and not self._is_scaled and may_read():
                with torch._C.DisableTorchFunction():  # noqa: SLF001 - likewise
                    self._look(optimizer)
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _look(self, optimizer: Optimizer) -> None:
        raw = self.sink.tracing.recorder.recorded
        halves = [each for each in raw.operations if _is_half(each, raw)]
        gradients = [each.grad for each in parameters_of(optimizer) if each.grad is not None]
        if not halves or not gradients or any(each.layout is not torch.strided for each in gradients):
            return
        if next(iter(living(GradScaler)), None) is None:
            zeros = sum(int((each == 0).sum()) for each in gradients) / max(sum(each.numel() for each in gradients), 1)
            first = operation_of(halves[0], self.sink.sites)
            self.sink.emit(HalfUnscaled(self.sink.step, first, len(halves), zeros, self._backward))


def _is_half(operation: RawOperation, raw: RawStep) -> bool:
    if name_of(operation.function) not in _WITH_WEIGHTS:
        return False
    made = [raw.values[place] for place in operation.outputs]
    return any(value.dtype is torch.float16 and value.requires_grad for value in made)
