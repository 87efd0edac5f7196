"""When operations are recorded: in the first steps, and not in what must not be disturbed.

A function mode on the stack switches off the fast paths of attention and of the transformer encoder, which changes
their bits, slows an optimizer's own arithmetic down, and can break a compiler. So the recorder is taken off the stack
around each of these, and what they do counts as one operation.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.modules import ModuleMeta
from tensorcheck.observe import modes
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.operations import Recorder
from tensorcheck.observe.own_time import Budget
from tensorcheck.observe.subject import Subject
from tensorcheck.trace import Operation, Origin, Trace

TRACED_STEPS = 3
"""The first steps, each of which is traced."""
WITH_FAST_PATHS = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
"""What takes another way through its `forward`, with other bits, while a mode is on the stack."""
MOST_REARMS = 5
"""How often in a run a later step is traced because something new was seen."""
_TRACED = "traced step"


class Tracing:
    """One session's recorder, and whether it is on the stack of modes.

    It is open in the first steps, and again for one step when it is re-armed. What has to be patched while it is open
    is patched anew each time, by those who asked for it with `while_open`.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        fault: Callable[[Exception], None],
        budget: Budget,
        *,
        fingerprint: bool = False,
    ) -> None:
        self.recorder = Recorder(self.find, self._faulted, fingerprint=fingerprint)
        self._budget = budget
        self._fault = fault
        self.handles = ExitStack()
        """What is patched for as long as the trace is open."""
        self.is_open = False
        self.is_due = False
        """Whether something waits for the next call of a model: see `settle`."""
        self.openings = 0
        """How often it was opened, or allowed to go on in a step of which it had seen enough."""
        self._openers: list[Callable[[ExitStack], None]] = []
        self._is_ended = False
        self._is_on_stack = False
        self._is_rearmed = False
        self._wants_rearm = False
        self._rearms = 0
        self._postponed = 0
        """How many of the first steps are yet to be traced: there was no budget for them when they came."""
        self._thread = threading.get_ident()
        self._subjects = subjects
        self._running: list[nn.Module] = []
        self._suspensions = 0
        self._waits_for_step = False
        self._is_in_optimizer = False
        self._batch: list[tuple[weakref.ref[Tensor], str]] = []
        """The batch that may be why the trace is opened next: it was handed out while nothing was recorded."""

    def while_open(self, opener: Callable[[ExitStack], None]) -> None:
        """Call this now, if the trace is open, and whenever it is opened; what it enters is left with the trace."""
        self._openers.append(opener)
        if self.is_open:
            opener(self.handles)

    def no_longer(self, opener: Callable[[ExitStack], None]) -> None:
        """Call this no more when the trace is opened."""
        if opener in self._openers:
            self._openers.remove(opener)

    def open(self, step: int = 0) -> None:
        """Record from now on; so many steps were taken before."""
        if not self.openings:
            self._thread = threading.get_ident()
        self.is_open, self.openings = True, self.openings + 1
        self._suspensions, self._waits_for_step, self._is_in_optimizer = 0, False, False
        self.recorder.begin_step(step, follows=False)
        for opener in self._openers:
            opener(self.handles)
        self._on()

    def close(self) -> None:
        """Record no more until it is opened again; what was recorded stays."""
        self.is_open = self._is_rearmed = False
        self._running.clear()
        self.recorder.running.clear()
        self._off()
        self.is_due = self.is_due or self._is_on_stack
        self.handles.close()

    def end(self) -> None:
        """Record no more for good."""
        self._is_ended = True
        self.close()
        if self._is_on_stack:
            modes.remove_later(self.recorder)

    def rearm_next_step(self) -> None:
        """Something was found in what is done already: record the next step, or the next call of a model."""
        self._wants_rearm = self._wants_rearm or (not self.is_open and self._may_rearm())
        self.is_due = self.is_due or self._wants_rearm

    def settle(self, step: int, *, is_new: bool = False) -> None:
        """Between steps, or before a call of a model: do what is due, and record a call of a new kind.

        A mode that was out of reach is taken away now, if it is not so still.
        """
        if not self.is_open and self._is_on_stack:
            self._off()
        if (is_new or self._wants_rearm) and self._may_rearm():
            self._rearm_within_budget(step)
        self._wants_rearm = False
        self.is_due = not self.is_open and self._is_on_stack

    def _rearm_within_budget(self, step: int) -> None:
        if self._budget.allows():
            self._rearm(step)
        elif not self.is_open:
            self._budget.left_out[_TRACED] += 1

    def _rearm(self, step: int) -> None:
        """Record the step that is under way from here on; a trace that waits for the next step waits no longer."""
        if not self.is_open:
            self._rearms += 1
            self._is_rearmed = True
            self.open(step)
            self._add_batch()
        elif self._waits_for_step:
            self._rearms += 1
            self.openings += 1
            self._go_on()

    def _may_rearm(self) -> bool:
        return self._rearms < MOST_REARMS and self._may_trace()

    def _may_trace(self) -> bool:
        """Modes are of a thread; and what is compiled or captured just now would hold ours."""
        return not self._is_ended and self._thread == threading.get_ident() and not modes.is_capturing()

    def cut_before(self, inputs: Sequence[object], sites: Sites) -> Operation | None:
        """Where the first of a module's inputs lost its gradient, if it had one."""
        first = next(iter(inputs), None)
        if not self.is_open or not isinstance(first, Tensor) or first.requires_grad:
            return None
        return self.recorder.cut_before(first, sites)

    def trace(self, sites: Sites) -> Trace:
        """The last step that was recorded."""
        return self.recorder.trace(sites)

    def traces(self, sites: Sites) -> tuple[Trace, ...]:
        """The last steps that were recorded, the latest last."""
        return self.recorder.traces(sites)

    def trace_under_way(self, sites: Sites) -> Trace | None:
        """What was recorded of the step that is under way; None where nothing is recorded just now."""
        is_recorded = self.is_open and not self._waits_for_step and not self.recorder.is_between_steps
        return self.recorder.trace(sites) if is_recorded else None

    def suspend(self) -> None:
        """Take the recorder off the stack, until `resume` was called as often."""
        self._suspensions += 1
        if self.is_open and self._suspensions == 1:
            self._off()

    def resume(self) -> None:
        """Put it back."""
        self._suspensions = max(self._suspensions - 1, 0)
        if self.is_open and self._suspensions == 0 and not self._waits_for_step:
            self._on()

    def suspend_for_optimizer(self) -> None:
        """An optimizer is about to step: what it does inside is no operation."""
        if not self._is_in_optimizer:
            self._is_in_optimizer = True
            self.suspend()

    def resume_after_optimizer(self, optimizer: Optimizer) -> None:
        """It has stepped, which counts as one operation; one that raised is made up for at the next step."""
        if self.is_open:
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - reading `grad` is no operation of the user's
                held = [tensor for group in optimizer.param_groups for tensor in group["params"]]
                moved = [tensor for tensor in held if tensor.grad is not None]
        if self._is_in_optimizer:
            self._is_in_optimizer = False
            self.resume()
        if self.is_open and not self.recorder.is_paused:
            self.recorder.stepped(moved)
            self.record_call(type(optimizer).step, moved, moved)

    def wait_for_step(self) -> None:
        """Record no more in this step: enough of it was seen."""
        if self._is_rearmed:
            self.close()
        elif self.is_open and not self._waits_for_step:
            self._waits_for_step = True
            self._off()

    def step_taken(self, step: int) -> None:
        """An optimizer stepped; this is the number of steps now taken."""
        if self.is_open and (self._is_rearmed or step >= TRACED_STEPS):
            self.close()
        elif self.is_open and not self._budget.allows():
            self._postponed = TRACED_STEPS - step
            self._budget.left_out[_TRACED] += self._postponed
            self.close()
        elif self._postponed and not self.is_open:
            self._make_up(step)
        elif self.is_open:
            self.recorder.begin_step(step)
            if self._waits_for_step:
                self._go_on()
        if self.is_due:
            self.settle(step)

    def _make_up(self, step: int) -> None:
        """Trace the step that begins now, if there is budget for one that was put off."""
        if self._may_trace() and self._budget.allows():
            self._postponed -= 1
            self._budget.left_out[_TRACED] -= 1
            self._is_rearmed = True
            self.open(step)

    def _go_on(self) -> None:
        self._waits_for_step = False
        self.recorder.overlook()
        if self._suspensions == 0:
            self._on()

    def batch_loaded(self, batch: object) -> None:
        """A DataLoader handed out a batch, while recording or such that recording may begin with it."""
        self._batch = [(weakref.ref(tensor), name) for name, tensor in leaves(batch, "batch")]
        if self.is_open:
            self._add_batch()

    def _add_batch(self) -> None:
        batch, self._batch = self._batch, []
        for reference, name in batch:
            tensor = reference()
            if tensor is not None:
                self.recorder.found(tensor, Origin.BATCH, name)

    def module_entered(self, module: nn.Module, path: str) -> None:
        """A module is about to run."""
        self._running.append(module)
        self.recorder.entered(path, type(module).__name__)

    @property
    def running_module(self) -> nn.Module | None:
        """The innermost module that is running, where modules are heard."""
        return self._running[-1] if self._running else None

    def record_call(self, function: Callable[..., Any], given: object, made: Sequence[Tensor]) -> None:
        """Something that ran unrecorded counts as one operation."""
        if self.is_open and not self.recorder.is_paused:
            self.recorder.call(function, given, made)

    def module_seen(self, module: ModuleMeta) -> None:
        """A module ran, and was this."""
        if self.is_open and not self.recorder.is_paused:
            self.recorder.module_seen(module)

    def module_left(self) -> None:
        """The module that was entered last is done."""
        for running in (self._running, self.recorder.running):
            if running:  # what entered when the user's stack was used up is in one of them alone
                running.pop()

    def _faulted(self, error: Exception) -> None:
        self.end()
        self._fault(error)

    def _on(self) -> None:
        self.recorder.is_paused = False
        if not self._is_on_stack:
            self._is_on_stack = True
            modes.insert_at_bottom(self.recorder)

    def _off(self) -> None:
        # Where it cannot be seen, as inside of its own handler, the flag alone has to do.
        self.recorder.is_paused = True
        if modes.remove(self.recorder):
            self._is_on_stack = False

    def find(self, tensor: Tensor) -> tuple[Origin, str]:
        """What a tensor is that no operation was seen to make."""
        for subject in self._subjects:
            if (name := subject.name_of(tensor)) is not None:
                return Origin.PARAMETER, name
            if (name := subject.buffer_name_of(tensor)) is not None:
                return Origin.BUFFER, name
        for module, (path, *_) in zip(reversed(self._running), reversed(self.recorder.running), strict=True):
            for name, held in vars(module).items():
                if held is tensor:
                    return Origin.ATTRIBUTE, f"{path}.{name}" if path else name
        return Origin.UNKNOWN, ""
