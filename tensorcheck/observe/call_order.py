"""The order of `backward`, `zero_grad`, clipping and `step`, followed through the first steps of a loop.

What is wrong with an order shows in the first steps or never, so that the rest of a run pays nothing for it.
"""

from contextlib import ExitStack
from types import FunctionType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tensorcheck.events.event import Event
from tensorcheck.events.loop import CallKind, LoopCall, LoopFollowed, StepNotCalled
from tensorcheck.events.optimizer import OutsiderTrained
from tensorcheck.observe.call_log import CallLog
from tensorcheck.observe.clipped import clipped_parameters
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink


class CallOrderProbe(Probe):
    """Has the calls written down until the first steps are over."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({LoopFollowed, StepNotCalled, OutsiderTrained})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self.log = CallLog(sink, optimizers)
        self._optimizers = optimizers
        self._depth = 0
        """How many steps are under way: an optimizer may wrap another."""
        self._is_over = False
        self._patched = ExitStack()

    def attach(self, handles: ExitStack) -> None:
        """Patch what is followed; the hooks that all optimizers share stay, for they can't be removed from within."""
        handles.callback(self._end)
        for handle in (
            register_optimizer_step_pre_hook(timed(self._about_to_step)),
            register_optimizer_step_post_hook(timed(self._stepped)),
        ):
            handles.enter_context(PATCHES.undo_in_forks(handle.remove))
        for owner, name, part in (
            (torch.autograd, "backward", _Backward(self)),
            (torch.autograd, "grad", _Differentiated(self)),
            (Optimizer, "zero_grad", _Zeroed(self)),
            (nn.Module, "zero_grad", _Zeroed(self)),
            (GradScaler, "unscale_", _Unscaled(self)),
            (GradScaler, "step", _Scaled(self)),
        ):
            self._patched.enter_context(PATCHES.patch_attribute(owner, name, part))
        for function in (clip_grad_norm_, clip_grad_value_):
            inner = getattr(function, "__wrapped__", function)  # both are decorated, and imported by name
            if isinstance(inner, FunctionType) and not inner.__code__.co_freevars:
                self._patched.enter_context(PATCHES.patch_code(inner, _Clipped(self)))

    @property
    def hears(self) -> bool:
        """Whether what happens now is followed; what a step itself calls is not."""
        if self._is_over or self.is_off or self._depth or not self.sink.hears_this_thread():
            return False
        if self.log.is_full:
            self._end()
        return not self._is_over

    def _about_to_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._is_over or self.is_off or not self.sink.hears_this_thread():
            return
        try:
            self._depth += 1
            if self._depth == 1:
                self._optimizers.known(optimizer)
                self.log.step_started(optimizer, takes_closure=len(args) > 1 or bool(kwargs))
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _stepped(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self._is_over or self.is_off or not self.sink.hears_this_thread():
            return
        try:
            self._depth = max(self._depth - 1, 0)
            if not self._depth:
                self.log.stepped()
                if self.log.is_full:
                    self._end()
        except Exception as fault:  # noqa: BLE001 - likewise
            self.fault(fault)

    def _end(self) -> None:
        """Tell what was seen; from now on nothing is followed."""
        self._patched.close()
        if not self._is_over and not self.is_off:
            self._is_over = True
            self.log.tell()


class _Part(Listener):
    """Hears one of the functions that are followed."""

    def __init__(self, probe: CallOrderProbe) -> None:
        self.probe = probe

    def fault(self, error: Exception) -> None:
        """Hand it to the session: nothing is followed any more."""
        self.is_off = True
        self.probe.fault(error)


class _Backward(_Part):
    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Gradients are about to be added."""
        if self.probe.hears:
            given = args[0] if args else kwargs.get("tensors")
            first = given[0] if isinstance(given, tuple | list) and len(given) == 1 else given
            self.probe.log.backward_started(first)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Gradients were added."""
        if self.probe.hears:
            retains = args[_RETAIN_GRAPH] if len(args) > _RETAIN_GRAPH else kwargs.get("retain_graph")
            creates = args[_RETAIN_GRAPH + 1] if len(args) > _RETAIN_GRAPH + 1 else kwargs.get("create_graph")
            self.probe.log.backward_finished(retains_graph=bool(retains) and not creates)


_RETAIN_GRAPH = 2
"""The place of that argument of `torch.autograd.backward`."""


class _Differentiated(_Part):
    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Gradients were given away."""
        if self.probe.hears:
            self.probe.log.add(LoopCall(CallKind.DIFFERENTIATED, None))


class _Zeroed(_Part):
    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Something is about to be zeroed."""
        if self.probe.hears:
            self.probe.log.look_for_hands()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """It was."""
        if self.probe.hears:
            self.probe.log.zeroed()


class _Clipped(_Part):
    _given: list[Tensor] | None = None

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Gradients are about to be clipped."""
        if self.probe.hears:
            self.probe.log.look_for_hands()
            self._given = clipped_parameters(args[0] if args else kwargs.get("parameters"))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """They were."""
        given, self._given = self._given, None
        if self.probe.hears:
            self.probe.log.clipped(given)


class _Unscaled(_Part):
    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Gradients are about to be divided by the scale."""
        if self.probe.hears:
            self.probe.log.look_for_hands()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """They were; that is not by hand."""
        if self.probe.hears:
            self.probe.log.look()


class _Scaled(_Part):
    _steps = 0

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """A step may be taken, or left out."""
        self._steps = self.probe.log.steps

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Whether it was taken is known now."""
        optimizer: object = args[1] if len(args) > 1 else kwargs.get("optimizer")
        if self.probe.hears and self.probe.log.steps == self._steps:
            self.probe.log.step_skipped(optimizer)
