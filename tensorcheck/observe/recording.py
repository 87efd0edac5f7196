"""The probe that keeps operations recorded: it knows what must run unrecorded."""

from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch._functorch import eager_transforms
from torch._functorch import vmap as functorch_vmap
from torch.optim import Optimizer

from tensorcheck.events.event import Event
from tensorcheck.observe import modes
from tensorcheck.observe.describe import tensors_in
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.tracing import WITH_FAST_PATHS

_UNRECORDED: tuple[tuple[type | ModuleType, str], ...] = (
    (Optimizer, "zero_grad"),
    (torch.jit, "trace"),
    (torch.jit, "trace_module"),
    (torch.export, "export"),
)
"""An optimizer's own arithmetic, and compilers that write down the stack or the modes that they find."""
_UNSEEN: tuple[tuple[type | ModuleType, str, Callable[..., Any]], ...] = (
    (torch, "from_numpy", torch.from_numpy),
    (torch, "frombuffer", torch.frombuffer),
    (torch, "from_dlpack", torch.utils.dlpack.from_dlpack),
    (torch.autograd.Function, "apply", torch.autograd.Function.apply),
    (torch.autograd, "grad", torch.autograd.grad),
    (functorch_vmap, "_add_batch_dim", torch.vmap),
    (functorch_vmap, "_remove_batch_dim", torch.vmap),
    (eager_transforms, "_wrap_for_grad", torch.func.grad),
    (eager_transforms, "_unwrap_for_grad", torch.func.grad),
)
"""What makes tensors without a function mode seeing it, and what the user calls it."""


class RecordingProbe(Probe):
    """Opens the trace, and suspends it around optimizers, fast paths and compiled code."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset()

    def attach(self, handles: ExitStack) -> None:
        """Start to record, unless something in this process is compiled."""
        handles.callback(self.sink.tracing.end)
        if not self.sink.awaits_models:
            self._begin()

    def model_adopted(self) -> None:
        """The first model was found: what came before it is of no step."""
        if not self.sink.tracing.openings:
            self._begin()

    def _begin(self) -> None:
        tracing = self.sink.tracing
        if modes.is_capturing():
            tracing.end()
            self.sink.skip("operations", "something in this process was compiled, which a trace would disturb")
            return
        tracing.while_open(self._patch)
        tracing.open()

    def _patch(self, handles: ExitStack) -> None:
        handles.enter_context(PATCHES.undo_in_forks(self.sink.tracing.close))
        handles.enter_context(PATCHES.patch_attribute(torch, "compile", self))
        for owner, name in _UNRECORDED:
            handles.enter_context(PATCHES.patch_attribute(owner, name, _Suspending(self.sink)))
        for cls in WITH_FAST_PATHS:
            handles.enter_context(PATCHES.patch_attribute(cls, "forward", _FastPaths(self.sink)))
        for owner, name, function in _UNSEEN:
            handles.enter_context(PATCHES.patch_attribute(owner, name, _Unseen(self.sink, function)))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """`torch.compile` is called: no mode may be active around what it makes."""
        if self.sink.tracing.is_open:
            self.sink.tracing.end()
            self.sink.skip("operations", "torch.compile was called, which a trace would disturb")


class _Suspending(Listener):
    """What it hears runs unrecorded."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._tracing = sink.tracing

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Record nothing of it."""
        self._tracing.suspend()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Record again."""
        self._tracing.resume()

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """Record again."""
        self._tracing.resume()

    def fault(self, error: Exception) -> None:
        """Record no more at all."""
        self._tracing.end()
        self._sink.fault(self, error)


class _Unseen(Listener):
    """A constructor that no mode sees."""

    def __init__(self, sink: Sink, function: Callable[..., Any]) -> None:
        self._sink = sink
        self._function = function

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """Write it down; a custom autograd function by the name of its class."""
        function = args[0] if args and isinstance(args[0], type) else self._function
        self._sink.tracing.record_call(function, (args, kwargs), list(tensors_in(result)))

    def fault(self, error: Exception) -> None:
        """It stays unseen."""
        self._sink.fault(self, error)


class _FastPaths(_Suspending):
    """Attention in evaluation mode: one operation, whatever it does inside."""

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Suspend, if the fast path may be taken."""
        if not args[0].training:
            super().before(args, kwargs)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """Write it down as one."""
        if not args[0].training:
            super().returned(args, kwargs, result)
            self._tracing.record_call(type(args[0]), (args[1:], kwargs), list(tensors_in(result)))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Record again."""
        if not args[0].training:
            super().raised(args, kwargs, error)
