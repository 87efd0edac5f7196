"""What each module of the model did, in the few calls that are traced.

`nn.Module.__call__` is patched for the length of one call of the model: unlike a hook it sees keyword arguments, keeps
the fast paths that hooks switch off, and leaves nothing in any module.
"""

from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from tensorcheck.events import ModuleCalled
from tensorcheck.observe.describe import named_arguments, named_tensors
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.subject import Subject

TRACED_STEPS = 3
_CALLS_A_STEP = 2
"""A step that accumulates gradients over many batches is traced in the first of them."""


class ModuleCalls(Listener):
    """Records the calls of a model's modules while it is started."""

    def __init__(self, sink: Sink, subject: Subject) -> None:
        self._sink = sink
        self._subject = subject
        self._active = ExitStack()
        self._calls = 0
        self._step = -1

    def wants_this_call(self) -> bool:
        """Whether this call of the model is to be traced: the first of the first steps, and nothing compiled."""
        step = self._subject.step
        if step >= TRACED_STEPS:
            return False
        if step != self._step:
            self._step, self._calls = step, 0
        self._calls += 1
        return self._calls <= _CALLS_A_STEP and not self._is_compiled()

    def _is_compiled(self) -> bool:
        model = self._subject.model()
        return model is None or any(
            module._compiled_call_impl is not None or hasattr(module, "dynamo_ctx")  # noqa: SLF001 - no other sign
            for module in model.modules()
        )

    def start(self) -> None:
        """Listen to every module call of this process from now on."""
        self._subject.calls.clear()
        self._subject.traced = max(self._subject.traced, self._subject.step + 1)
        self._active.enter_context(PATCHES.patch_attribute(nn.Module, "__call__", self))

    def stop(self) -> None:
        """Listen no more."""
        self._active.close()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """A module returned."""
        module = args[0]
        if self._subject.path_of(module):
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
                self._record(module, args[1:], kwargs, result)

    def _record(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        event = ModuleCalled(
            step=self._subject.step,
            module=self._subject.meta_of(module),
            inputs=named_arguments(type(module).forward, args, kwargs),
            outputs=named_tensors(result, "output"),
            is_grad_enabled=torch.is_grad_enabled(),
            site=self._sink.sites.here(),
        )
        self._subject.calls.append(event)
        self._sink.emit(event, self._subject)

    def fault(self, error: Exception) -> None:
        """Something above raised."""
        self.stop()
        self._sink.fault(self, error)
