"""The watched model's own calls: batch in, output out, and the mode it was in.

`forward` is patched on the model's class and not hooked on the model itself: a hook lives in the module's own
`__dict__`, so it would be pickled with the model by `torch.save`, copied into an EMA by `deepcopy`, and is ignored by a
model that was compiled before; and it does not see a direct call of `forward`. A model whose `forward` is its own
attribute or was compiled is heard by its `__call__`; where both are heard, the outermost call counts.

What runs in each step is kept short: between two steps of a real model all of it has left the processor's caches.
"""

import sys
from collections.abc import Hashable
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import nn

from tensorcheck.events.crash import Stage
from tensorcheck.events.event import Event
from tensorcheck.events.forward import (
    EvaluatedWithGradients,
    ForwardFinished,
    ModeSwitched,
    ModuleCalled,
    OutputSampled,
)
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.constant_outputs import LATER, is_constant, is_constant_later
from tensorcheck.observe.describe import named_arguments, named_tensors, signature, tensors_in
from tensorcheck.observe.graded_evaluations import Evaluations
from tensorcheck.observe.modules import ModuleCalls
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.tracing import WITH_FAST_PATHS


class _Compilations(Listener):
    """Hears what compiles a model: from then on its calls, and no longer its `forward`, are what can be heard."""

    def __init__(self, probe: "ModelProbe", handles: ExitStack) -> None:
        self._probe = probe
        self._handles = handles
        self._is_attached = False

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """`torch.compile` made a module, or `nn.Module.compile` changed one."""
        compiled = result if result is not None else next(iter(args), None)
        if isinstance(compiled, nn.Module) and not self._is_attached:
            self._is_attached = True
            self._probe.attach_calls(type(compiled), self._handles)

    def fault(self, error: Exception) -> None:
        """The compiled model is not heard."""
        self._probe.fault(error)


class ModelProbe(Probe):
    """Hears the calls of one watched model."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset(
        {ForwardFinished, ModeSwitched, ModuleCalled, OutputSampled, EvaluatedWithGradients}
    )
    stage: ClassVar[Stage] = "forward"

    def __init__(self, sink: Sink, subject: Subject) -> None:
        super().__init__(sink)
        self._subject = subject
        self._depth = 0
        self._met: set[Hashable] = set()
        """The signatures and switches of mode that the model was called with or after."""
        self._given: tuple[bool, Hashable, Hashable] = (True, (), ())
        """The signature of the call that is under way."""
        self._clean: dict[Hashable, bool] = {}
        """The signatures in which nothing was found, and whether the output required a gradient."""
        self._varies = False
        """Whether its output was seen to depend on its input."""
        self._modules = ModuleCalls(sink, subject)
        self._evaluations = Evaluations(sink, subject)

    def attach(self, handles: ExitStack) -> None:
        """Patch the model's class."""
        model = self._subject.model()
        handles.enter_context(PATCHES.patch_attribute(type(model), "forward", self))
        if model is not None and ("forward" in vars(model) or model._compiled_call_impl is not None):  # noqa: SLF001 - no other sign
            self.attach_calls(type(model), handles)
        for owner in (torch, nn.Module):
            handles.enter_context(PATCHES.patch_attribute(owner, "compile", _Compilations(self, handles)))
        self.sink.tracing.while_open(self._hear_modules)
        handles.callback(self.sink.tracing.no_longer, self._hear_modules)
        handles.callback(self._modules.stop)
        handles.callback(self._evaluations.end)
        dynamo = sys.modules.get("torch._dynamo")
        if dynamo is not None:
            self.attach_calls(dynamo.OptimizedModule, handles)

    def attach_calls(self, cls: type[nn.Module], handles: ExitStack) -> None:
        """Hear the model by the calls of this class, its own or that of what `torch.compile` made of it."""
        handles.enter_context(PATCHES.patch_attribute(cls, "__call__", self))

    def _hear_modules(self, handles: ExitStack) -> None:
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "__call__", self._modules))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The model is about to be called, or another instance of its class."""
        if self._is_ours(args[0]):
            self._depth += 1
            if self._depth == 1:
                self._called(args[0], args[1:], kwargs)

    def _called(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        training, tracing = model.training, self.sink.tracing
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
            self._given = given = (training, signature(args), signature(kwargs) if kwargs else ())
        is_new = (given not in self._met or self._subject.last_mode is not training) and self._is_new(given)
        if (tracing.is_due or is_new) and not isinstance(model, WITH_FAST_PATHS):  # that would miss its own patch
            tracing.settle(self._subject.step, is_new=is_new)
        if tracing.is_open:
            self._traced(model)

    def _is_new(self, given: tuple[bool, Hashable, Hashable]) -> bool:
        """Whether it is the first call of this signature, or the first after a switch of mode to this one."""
        training, *inputs = given
        met = {given, ("inputs", *inputs)}
        if self._subject.last_mode not in (None, training):
            met.add(("switch", training))
        new = met - self._met - {given}
        self._met |= met
        return bool(new)

    def _traced(self, model: nn.Module) -> None:
        if model is self._subject.model() and self._modules.wants_this_call():
            self._modules.start(model)
        else:
            self._subject.is_call_traced = False
            self.sink.tracing.wait_for_step()

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """The model raised; its innermost call hears it first and explains it."""
        if self._is_ours(args[0]):
            self._leave()
            super().raised(args, kwargs, error)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """The model returned."""
        model: nn.Module = args[0]
        if self._depth == 1 and self._modules.is_started and model is self._subject.model():
            self._modules.model_returned(args, kwargs, result)
        if self._is_ours(model) and self._leave():
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
                self._finished(model, args[1:], kwargs, result)

    def fault(self, error: Exception) -> None:
        """Hand it to the session; the modules are not heard either."""
        self._modules.stop()
        super().fault(error)

    def _is_ours(self, module: nn.Module) -> bool:
        model = self._subject.model()
        return module is model or module._modules.get("_orig_mod", self) is model  # noqa: SLF001 - runs no property

    def _leave(self) -> bool:
        self._depth -= 1
        if self._depth == 0:
            self._modules.stop()
        return self._depth == 0

    def _finished(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        subject, training, grad = self._subject, model.training, torch.is_grad_enabled()
        self.sink.passes.called(subject, args, is_training=training)
        look = (grad, self._given, signature(result))
        if subject.last_mode is not training:
            subject.last_mode = training
            self._evaluations.end()
            self.sink.emit(ModeSwitched(subject.step, training, self.sink.sites.here()), subject)
        required_grad = self._clean.get(look)
        if required_grad is None:
            required_grad = any(tensor.requires_grad for tensor in tensors_in(result))
            self._judge(model, args, kwargs, result, look)
        if grad and training and self.sink.tracing.is_open and not self._varies:
            self._sample(result, is_constant(args, result))
        elif grad and training and subject.step in LATER:
            self._sample(result, is_constant_later(args, result))
        if grad:
            subject.is_training, subject.output_required_grad = training, required_grad
            if required_grad and not training:
                self._evaluations.called()

    def _sample(self, result: object, constant: bool | None) -> None:  # noqa: FBT001 - what was seen
        self._varies = constant is False
        if constant is not None:
            outputs = named_tensors(result, "output")
            event = OutputSampled(self._subject.step, constant, outputs, self.sink.sites.here())
            self.sink.emit(event, self._subject)

    def _judge(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: object, look: Hashable
    ) -> None:
        self.sink.adopt_this_thread()
        subject, key = self._subject, ("forward", self._subject, look)
        if self.sink.is_known(key):
            return
        event = ForwardFinished(
            step=subject.step,
            model=ModuleMeta("", subject.kind),
            is_training=model.training,
            is_grad_enabled=torch.is_grad_enabled(),
            inputs=named_arguments(type(model).forward, args, kwargs),
            outputs=named_tensors(result, "output"),
            trainable=subject.trainable(),
            site=self.sink.sites.here(),
        )
        if not self.sink.emit(event, subject, signature=key):
            self._clean[look] = any(tensor.requires_grad for tensor in tensors_in(result))
