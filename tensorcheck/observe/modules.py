"""What each module of the model did, in the few calls that are traced.

`nn.Module.__call__` is patched for as long as the trace is open: unlike a hook it sees keyword arguments, keeps the
fast paths that hooks switch off, and leaves nothing in any module. It is not patched for each call of the model anew,
for to change an attribute of a class that has hundreds of subclasses takes longer than a small model's step.
"""

import math
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.events.forward import ModuleCalled, returned_with_gradient
from tensorcheck.lineage import Lineage
from tensorcheck.observe.describe import named_arguments, named_tensors, tensors_in
from tensorcheck.observe.lineages import lineage_of_argument
from tensorcheck.observe.patches import Listener
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.subject import Subject
from tensorcheck.shapes import ModuleRow
from tensorcheck.tensors import NamedTensor
from tensorcheck.trace import Operation

_NO_LINEAGE = Lineage()
_CALLS_A_STEP = 2
"""A step that accumulates gradients over many batches is traced in the first of them."""


class ModuleCalls(Listener):
    """Records the calls of a model's modules while it is started."""

    def __init__(self, sink: Sink, subject: Subject) -> None:
        self._sink = sink
        self._subject = subject
        self.is_started = False
        self._calls = 0
        self._counted = (-1, -1)
        """The step and the opening of the trace that these are calls of."""
        self._is_compiled = False
        self._open: list[int] = []
        """Which of the calls of a module, in order, those are that have not returned."""
        self._entered = 0
        self._last_step = -1
        """The step that was traced last."""

    def wants_this_call(self) -> bool:
        """Whether this call of the model is to be traced: the first of a step, and nothing compiled."""
        if not self._sink.tracing.is_open:
            return False
        counted = (self._subject.step, self._sink.tracing.openings)
        if counted[1] != self._counted[1]:
            self._is_compiled = self._holds_compiled()
        if counted != self._counted:
            self._counted, self._calls = counted, 0
        self._calls += 1
        return self._calls <= _CALLS_A_STEP and not self._is_compiled

    def _holds_compiled(self) -> bool:
        model = self._subject.model()
        return model is None or any(
            module._compiled_call_impl is not None or hasattr(module, "dynamo_ctx")  # noqa: SLF001 - no other sign
            for module in model.modules()
        )

    def start(self, model: nn.Module) -> None:
        """Hear the modules from now on."""
        self._sink.tracing.module_entered(model, "")
        self._subject.calls.clear()
        self._subject.entered.clear()
        self._subject.whole = None
        self._open.clear()
        self._entered = 0
        self._subject.is_call_traced = True
        if self._subject.step != self._last_step:
            self._last_step = self._subject.step
            self._subject.traced += 1
        self.is_started = True

    def stop(self) -> None:
        """Hear them no more."""
        if self.is_started:
            self.is_started = False
            self._sink.tracing.module_left()

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A module is about to run."""
        if self.is_started:
            self._sink.tracing.module_entered(args[0], self._subject.path_of(args[0]) or "")
            self._open.append(self._entered)
            self._entered += 1

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """A module raised; the model's own probe hears of it too."""
        if self.is_started:
            self._leave()

    def _leave(self) -> int:
        self._sink.tracing.module_left()
        return self._open.pop() if self._open else 0

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """A module returned."""
        if not self.is_started:
            return
        module = args[0]
        entered = self._leave()
        if self._subject.path_of(module):
            self._subject.entered.append(entered)
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
                self._record(module, args[1:], kwargs, result)

    def model_returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """The model itself returned: it has a row of its own where it has weights of its own, or no parts."""
        if not self.is_started:
            return
        model = args[0]
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
            meta = self._subject.meta_of(model)
            self._sink.tracing.module_seen(meta)
            if model._parameters or not model._modules:  # noqa: SLF001 - runs no property
                self._subject.whole = ModuleCalled(
                    step=self._subject.step,
                    module=meta,
                    inputs=named_arguments(type(model).forward, args[1:], kwargs),
                    outputs=named_tensors(result, "output"),
                    is_grad_enabled=torch.is_grad_enabled(),
                    site=None,
                )

    def _record(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        inputs = named_arguments(type(module).forward, args, kwargs)
        ungraded, cut, lineage = None, None, _NO_LINEAGE
        if self._subject.calls and any(not each.meta.requires_grad for each in inputs):
            ungraded, cut, lineage = self._ungraded(inputs, list(tensors_in((args, kwargs))))
        if ungraded is None and inputs and inputs[0].meta.device == "meta" and _has_values(module):
            lineage = lineage_of_argument(self._sink.tracing.trace(self._sink.sites), inputs[0].meta)
        event = ModuleCalled(
            step=self._subject.step,
            module=self._subject.meta_of(module),
            inputs=inputs,
            outputs=named_tensors(result, "output"),
            is_grad_enabled=torch.is_grad_enabled(),
            site=self._sink.sites.here(),
            ungraded=ungraded,
            cut=cut,
            lineage=lineage,
        )
        self._sink.tracing.module_seen(event.module)
        self._subject.calls.append(event)
        self._sink.emit(event, self._subject)

    def _ungraded(
        self, inputs: Sequence[NamedTensor], tensors: Sequence[Tensor]
    ) -> tuple[NamedTensor | None, Operation | None, Lineage]:
        """The input that seems to have lost its gradient since an earlier module returned it, and where it did."""
        if not torch.is_grad_enabled():
            return None, None, _NO_LINEAGE
        for named, tensor in zip(inputs, tensors, strict=False):
            if returned_with_gradient(self._subject.calls, named) is not None:
                cut = self._sink.tracing.cut_before([tensor], self._sink.sites)
                trace = self._sink.tracing.trace(self._sink.sites) if cut is None else None
                return named, cut, _NO_LINEAGE if trace is None else lineage_of_argument(trace, named.meta)
        return None, None, _NO_LINEAGE

    def fault(self, error: Exception) -> None:
        """Something above raised."""
        self.stop()
        self._sink.fault(self, error)


def _has_values(module: nn.Module) -> bool:
    return any(not tensor.is_meta for tensor in module._parameters.values() if tensor is not None)  # noqa: SLF001 - its own


def shape_rows(subject: Subject) -> Iterator[ModuleRow]:
    """The calls of the last traced call of a model, with what its optimizer's last traced step said of gradients.

    They come as they were called, so that a module stands above those that it calls.
    """
    calls = [call for _, call in sorted(zip(subject.entered, subject.calls, strict=False), key=itemgetter(0))]
    for call in calls if subject.whole is None else [subject.whole, *calls]:
        own = call.module.parameters
        prefix = f"{call.module.path}." if call.module.path else ""
        names = [f"{prefix}{tensor.name}" for tensor in own if tensor.meta.requires_grad]
        yield ModuleRow(
            call.module.path,
            call.module.kind,
            call.inputs,
            call.outputs,
            parameters=sum(math.prod(tensor.meta.shape) for tensor in own),
            with_gradient=sum(name in subject.reached for name in names),
            trainable=len(names),
        )
