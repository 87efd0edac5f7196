"""Copies on another device or in another dtype that nobody keeps: `rows.to(device)` as a statement of its own.

How a line is written shows that the result is dropped, and what the name stands for shows that it is a tensor: the same
call moves a module in place. Both are known in the traced steps; for what ran before those, at the first step, for as
long as the names of the running code still stand for the same.
"""

import ast
import sys
from contextlib import ExitStack
from types import FrameType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.event import Event
from tensorcheck.events.placing import ResultDropped
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.dropped_calls import CONVERSIONS, DroppedCall, dropped_calls, dropped_in
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import Owner, owner_of, position_of, site_of_node, tree_of
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.scopes import Scope, within
from tensorcheck.observe.stack import standing

_MOST = 8
"""More of them are not told of."""


class DroppedResultProbe(Probe):
    """Hears of conversions while operations are recorded, and tells of them when a step is taken.

    A step that crashes first is explained by what crashed.
    """

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ResultDropped})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._found: dict[tuple[str, int, int], ResultDropped] = {}
        self._told: set[tuple[str, int, int]] = set()
        self._has_looked = False

    def attach(self, handles: ExitStack) -> None:
        """Be told of these methods, as PyTorch itself has them: a simulated device has its own in front."""
        for function in {getattr(torch._C.TensorBase, name) for name in CONVERSIONS if hasattr(Tensor, name)}:  # noqa: SLF001 - they have no public place
            self.sink.tracing.recorder.read_also(function, self._called, handles)
        handle = register_optimizer_step_pre_hook(self._about_to_step)
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def _called(self, _: object, args: tuple[Any, ...], __: dict[str, Any], ___: object) -> None:
        """A tensor was converted."""
        frame = None if self.is_off else _direct_caller()
        if frame is None or not self.sink.hears_this_thread():
            return
        try:
            tree = tree_of(frame.f_code.co_filename)
            found = dropped_calls(tree).get(position_of(frame.f_code, frame.f_lasti)) if tree is not None else None
            if found is not None:
                self._note(found, args[0], frame.f_code.co_filename, frame.f_code.co_qualname)
        except RecursionError:
            raise  # the user's stack is used up: the recorder knows what to do
        except Exception as fault:  # noqa: BLE001 - the recorder, which calls this, goes on without it
            self.fault(fault)

    def _note(self, found: DroppedCall, tensor: object, filename: str, function: str) -> None:
        if type(tensor) not in (Tensor, torch.nn.Parameter) or not isinstance(tensor, Tensor):
            return
        key = filename, found.node.lineno, found.node.col_offset
        if key not in self._told and len(self._told) < _MOST:
            self._told.add(key)
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
                meta = tensor_meta(tensor)
            site = site_of_node(found.node, filename, function)
            self._found[key] = ResultDropped(self.sink.step, found.how, ast.unparse(found.receiver), meta, site)

    def _about_to_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        is_waiting = self._found or not self._has_looked
        if not is_waiting or self.is_off or not self.sink.subjects or not self.sink.hears_this_thread():
            return
        try:
            if not self._has_looked:
                self._has_looked = True
                self._look_around()
            found, self._found = self._found, {}
            for event in found.values():
                self.sink.emit(event)
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _look_around(self) -> None:
        """What the running functions have dropped before."""
        with standing() as frames:
            for scope in scopes_of(frames):
                for found in dropped_in(scope.body):
                    if found.how == "statement" and _is_bound_before(found, scope):
                        value = scope.names.get(ast.unparse(found.receiver))
                        self._note(found, value, scope.filename, scope.function)


def _direct_caller() -> FrameType | None:
    """The user's frame, if it called the function itself: what a library calls for them may keep the result."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
    while frame is not None and owner_of(frame.f_code.co_filename) is Owner.OURS:
        frame = frame.f_back
    is_users = frame is not None and owner_of(frame.f_code.co_filename) is Owner.USER
    return frame if is_users else None


def _is_bound_before(found: DroppedCall, scope: Scope) -> bool:
    """Whether it is a name that nothing below the call binds anew, so that it stood for the same there."""
    receiver = found.receiver
    if not isinstance(receiver, ast.Name):
        return False
    names = (node for node in within(scope.body) if isinstance(node, ast.Name) and node.id == receiver.id)
    return all(node.lineno <= found.node.lineno for node in names if not isinstance(node.ctx, ast.Load))
