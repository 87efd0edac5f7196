"""When operations are recorded: in the first steps, and not in what must not be disturbed.

A function mode on the stack switches off the fast paths of attention and of the transformer encoder, which changes
their bits, slows an optimizer's own arithmetic down, and can break a compiler. So the recorder is taken off the stack
around each of these, and what they do counts as one operation.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.observe import modes
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.operations import Recorder
from tensorcheck.observe.subject import Subject
from tensorcheck.trace import Operation, Origin, Trace

TRACED_STEPS = 3


class Tracing:
    """One session's recorder, and whether it is on the stack of modes."""

    def __init__(self, subjects: Sequence[Subject], fault: Callable[[Exception], None]) -> None:
        self.recorder = Recorder(self._find, fault)
        self.handles = ExitStack()
        """What is patched for as long as the trace is open."""
        self.is_open = False
        self._subjects = subjects
        self._running: list[nn.Module] = []
        self._suspensions = 0
        self._waits_for_step = False
        self._is_in_optimizer = False
        self._steps = 0

    def open(self) -> None:
        """Record from now on."""
        self.is_open = True
        modes.insert_at_bottom(self.recorder)

    def close(self) -> None:
        """Record no more; what was recorded stays."""
        self.is_open = False
        self._running.clear()
        self._off()
        self.handles.close()

    def cut_before(self, inputs: Sequence[object], sites: Sites) -> Operation | None:
        """Where the first of a module's inputs lost its gradient, if it had one."""
        first = next(iter(inputs), None)
        if not self.is_open or not isinstance(first, Tensor) or first.requires_grad:
            return None
        return self.recorder.cut_before(first, sites)

    def trace(self, sites: Sites) -> Trace:
        """The last step that was recorded."""
        return self.recorder.trace(self._steps, sites)

    def suspend(self) -> None:
        """Take the recorder off the stack, until `resume` was called as often."""
        self._suspensions += 1
        if self.is_open and self._suspensions == 1:
            self._off()

    def resume(self) -> None:
        """Put it back."""
        self._suspensions -= 1
        if self.is_open and self._suspensions == 0 and not self._waits_for_step:
            self._on()

    def suspend_for_optimizer(self) -> None:
        """An optimizer is about to step: what it does inside is no operation."""
        if not self._is_in_optimizer:
            self._is_in_optimizer = True
            self.suspend()

    def resume_after_optimizer(self, optimizer: Optimizer) -> None:
        """It has stepped, which counts as one operation; one that raised is made up for at the next step."""
        if self._is_in_optimizer:
            self._is_in_optimizer = False
            self.resume()
        moved = [tensor for group in optimizer.param_groups for tensor in group["params"] if tensor.grad is not None]
        self.record_call(type(optimizer).step, moved, moved)

    def wait_for_step(self) -> None:
        """Record no more in this step: enough of it was seen."""
        if self.is_open and not self._waits_for_step:
            self._waits_for_step = True
            self._off()

    def step_taken(self, step: int) -> None:
        """An optimizer stepped; this is the number of steps now taken."""
        if not self.is_open:
            return
        self._steps = step - 1
        if step >= TRACED_STEPS:
            self.close()
            return
        self.recorder.step_is_over = True
        if self._waits_for_step:
            self._waits_for_step = False
            if self._suspensions == 0:
                self._on()

    def batch_loaded(self, batch: object) -> None:
        """A DataLoader handed out a batch."""
        for name, tensor in leaves(batch, "batch"):
            self.recorder.found(tensor, Origin.BATCH, name)

    def module_entered(self, module: nn.Module, path: str) -> None:
        """A module is about to run."""
        self._running.append(module)
        self.recorder.running.append((path, type(module).__name__))

    def record_call(self, function: Callable[..., Any], given: object, made: Sequence[Tensor]) -> None:
        """Something that ran unrecorded counts as one operation."""
        if self.is_open and not self.recorder.is_paused:
            self.recorder.call(function, given, made)

    def module_left(self) -> None:
        """The module that was entered last is done."""
        if self._running:
            self._running.pop()
            self.recorder.running.pop()

    def _on(self) -> None:
        self.recorder.is_paused = False
        if not modes.is_on_stack(self.recorder):
            modes.insert_at_bottom(self.recorder)

    def _off(self) -> None:
        # Where modes cannot be seen, as inside another mode's handler, the flag alone has to do.
        self.recorder.is_paused = True
        modes.remove(self.recorder)

    def _find(self, tensor: Tensor) -> tuple[Origin, str]:
        """What a tensor is that no operation was seen to make."""
        for subject in self._subjects:
            if (name := subject.name_of(tensor)) is not None:
                return Origin.PARAMETER, name
            if (name := subject.buffer_name_of(tensor)) is not None:
                return Origin.BUFFER, name
        for module, (path, _) in zip(reversed(self._running), reversed(self.recorder.running), strict=True):
            for name, held in vars(module).items():
                if held is tensor:
                    return Origin.ATTRIBUTE, f"{path}.{name}" if path else name
        return Origin.UNKNOWN, ""
