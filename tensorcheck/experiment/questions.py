"""When questions are put to a copy of a model: once, after the first step, with what its first call was given.

What is kept until then is a copy of four samples. Afterwards nothing listens any more, so later steps cost nothing.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from tensorcheck.events.event import Event
from tensorcheck.events.experiment import LookedAhead, SamplesMixed
from tensorcheck.experiment import independence, look_ahead
from tensorcheck.experiment.asking import NoAnswerError
from tensorcheck.experiment.capturing_calls import CapturedCall, Occasion
from tensorcheck.experiment.copies import CannotCopyError
from tensorcheck.experiment.isolation import unseen
from tensorcheck.observe import modes
from tensorcheck.observe.describe import tensor_meta, tensors_in
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta

_CALLS = 3
"""After so many calls of a model with a single sample, no other is waited for."""
_TARGETS = 1 << 20
"""Elements of targets beyond which they are not copied."""


class QuestionProbe(Probe):
    """Waits for the first call of a model and for the step after it, and asks."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SamplesMixed, LookedAhead})

    def __init__(self, sink: Sink, subject: Subject) -> None:
        super().__init__(sink)
        self._subject = subject
        self._call: CapturedCall | None = None
        self._outputs: tuple[TensorMeta, ...] | None = None
        """What the model returned; None while it has not."""
        self._targets: Tensor | None = None
        self._site: Site | None = None
        self._calls = 0
        self._depth = 0
        self._handles: ExitStack | None = None

    def attach(self, handles: ExitStack) -> None:
        """Listen to the model's class, to the losses of language models and to all optimizers."""
        handles.callback(self._about_to_close)
        self._handles = handles.enter_context(ExitStack())
        self._handles.enter_context(PATCHES.patch_attribute(type(self._subject.model()), "forward", self))
        for function in (functional.cross_entropy, functional.nll_loss):
            self._handles.enter_context(PATCHES.patch_code(function, _Targets(self)))  # type: ignore[arg-type]  # one is overloaded
        # It stays to the end: an optimizer goes through its hooks while it calls them.
        handle = register_optimizer_step_post_hook(timed(self._stepped))
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The model is about to be called, or another instance of its class."""
        if args[0] is not self._subject.model():
            return
        self._depth += 1
        if self._depth == 1 and self._wants_call():
            self._calls += 1
            self._capture(args[1:], kwargs)

    def _wants_call(self) -> bool:
        is_single = self._call is None or self._call.batch == 1
        is_possible = torch.is_grad_enabled() and self.sink.hears_this_thread() and not modes.is_capturing()
        is_due = self._handles is not None and is_single and self._calls < _CALLS
        return is_due and is_possible and self.sink.budget.allows()

    def _capture(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            with unseen(), torch.no_grad():
                self._call = CapturedCall.of(args, kwargs)
        except CannotCopyError as reason:
            self.sink.skip(independence.NAME, str(reason))
            self._stop()
            return
        self._site, self._outputs, self._targets = self.sink.sites.here(), None, None

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """The model raised; its own probe explains that."""
        if args[0] is self._subject.model():
            self._depth -= 1
            self._call = None

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """The model returned."""
        if args[0] is not self._subject.model():
            return
        self._depth -= 1
        if self._depth == 0 and self._call is not None and self._outputs is None:
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
                self._outputs = tuple(tensor_meta(tensor) for tensor in tensors_in(result))
            within = (each.meta for call in self._subject.calls for each in (*call.inputs, *call.outputs))
            self._call = self._call.unlike([size for meta in (*within, *self._outputs) for size in meta.shape])

    def targets_seen(self, targets: object) -> None:
        """A loss was given targets."""
        is_asked = self._call is not None and self._targets is None and isinstance(targets, Tensor)
        if is_asked and isinstance(targets, Tensor) and not targets.is_floating_point() and targets.numel() <= _TARGETS:
            with unseen(), torch.no_grad():
                self._targets = targets.detach().clone()

    def _stepped(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self._outputs is None or self.is_off or not self.sink.hears_this_thread():
            return
        try:
            self._ask()
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _about_to_close(self) -> None:
        """No optimizer stepped; where the run broke off, nobody wants to know."""
        if self._calls == 0 and not self.sink.budget.allows():
            self.sink.skip(independence.NAME, "there was no budget left for it")
        if self._outputs is not None and not self.is_off and sys.exc_info()[0] is None:
            try:
                self._ask()
            except Exception as fault:  # noqa: BLE001 - likewise
                self.fault(fault)

    def _ask(self) -> None:
        model, call, targets = self._subject.model(), self._call, self._targets
        occasion, sites = Occasion(self._subject.step, self._site, self._outputs or ()), self.sink.sites
        self._stop()
        if model is None or call is None or modes.is_capturing():
            return
        with unseen(), torch.no_grad():
            place = look_ahead.tokens_asked(call, targets) if targets is not None else None
        if self.sink.wants(SamplesMixed):
            self._put(independence.NAME, lambda: independence.samples_mixed(model, call, occasion, sites))
        if place is not None and self.sink.wants(LookedAhead):
            self._put(look_ahead.NAME, lambda: look_ahead.looked_ahead(model, call, place, occasion, sites))

    def _put(self, name: str, question: Callable[[], SamplesMixed | LookedAhead | None]) -> None:
        try:
            with unseen():
                answer = question()
        except NoAnswerError as reason:
            self.sink.skip(name, str(reason))
            return
        finally:
            self.sink.tracing.recorder.overlook()
        self.sink.experimented(name)
        if answer is not None:
            self.sink.emit(answer, self._subject)

    def _stop(self) -> None:
        """Listen no more, and let go of what was copied."""
        handles, self._handles = self._handles, None
        self._call = self._outputs = self._targets = None
        if handles is not None:
            handles.close()

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._call = self._outputs = self._targets = None
        super().fault(error)


class _Targets(Listener):
    """Hears what a loss is given."""

    def __init__(self, probe: QuestionProbe) -> None:
        self._probe = probe

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The loss is called."""
        self._probe.targets_seen(args[1] if len(args) > 1 else kwargs.get("target"))

    def fault(self, error: Exception) -> None:
        """Nothing is asked."""
        self.is_off = True
        self._probe.fault(error)
