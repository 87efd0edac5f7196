"""Where the first NaN of a run comes from: read from autograd's graph before `backward` uses it up, in any step.

When the loss is not finite the graph is still there, and has saved the values that the step computed with. Nothing has
to be run again, and once the optimizer has stepped it would be too late: all weights are NaN. What a node's line is
was seen in the traced steps, in which the same graph was made by known operations.

A loss that is on the CPU is read in each step, which takes a microsecond. A graph without any function that has an
infinite gradient somewhere is walked in no other step. What is not on the CPU is read in traced steps alone.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.event import Event
from tensorcheck.events.loading import BatchNotFinite
from tensorcheck.events.numeric import Made, NumbersLost, Where
from tensorcheck.observe.lost_batches import LastBatch
from tensorcheck.observe.optimized import parameters_of
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.raw_steps import RawOperation, RawStep, operation_of
from tensorcheck.observe.readable import may_read_outside
from tensorcheck.observe.saved_values import (
    AnyNode,
    first_not_finite,
    first_singular,
    may_be_singular,
    nodes_of,
    number_of,
    ranges_of,
)
from tensorcheck.trace import Operation

_MOST_PROFILES = 16
"""Graphs that are remembered: a step may have several, and accumulates gradients over as many."""


class _Profile(NamedTuple):
    """A graph that was made in a traced step: autograd's names by their distance from the loss."""

    kinds: dict[int, str]
    last: int
    """The number of the loss's own node."""
    raw: RawStep

    def operation_at(self, distance: int) -> RawOperation | None:
        """What made the node at this distance."""
        number = self.last - distance
        return next((each for each in self.raw.operations if each.nodes_before <= number < each.nodes), None)


class LostNumberProbe(Probe):
    """Looks at a loss before each `backward`, and at gradients before a step where there is reason to."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({NumbersLost, BatchNotFinite})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._profiles: list[_Profile] = []
        self._deepest = -1
        """How far from a loss a function with an infinite gradient was met; negative where none was."""
        self._pending: NumbersLost | BatchNotFinite | None = None
        self._is_latest = False
        """Whether it is of the last `backward`."""
        self._has_stepped = False
        self._is_done = False
        self._batch = LastBatch(sink)

    def attach(self, handles: ExitStack) -> None:
        """Patch `torch.autograd.backward`, hear of batches, and register the hook that all optimizers share."""
        self._batch.attach(handles)
        handles.enter_context(PATCHES.patch_attribute(torch.autograd, "backward", self))
        handle = register_optimizer_step_pre_hook(timed(self._about_to_step))
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A graph is about to be used up."""
        if self._is_done or not self.sink.subjects or not self.sink.hears_this_thread() or not may_read_outside():
            return
        if self._has_stepped:
            self._has_stepped, self._pending = False, None
        self._is_latest = False
        given = args[0] if args else kwargs.get("tensors")
        roots = [given] if isinstance(given, Tensor) else list(given or ())
        if self._pending is None and roots:
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a number
                self._look(roots)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Another probe explains it."""

    def _may_be_read(self, root: object) -> bool:
        if type(root) is not Tensor or not root.is_floating_point() or root.is_meta or not root.numel():
            return False
        return root.device.type == "cpu" or self.sink.tracing.is_open

    def _look(self, roots: Sequence[Tensor]) -> None:
        if not all(self._may_be_read(root) for root in roots):
            return
        is_lost = not all(_is_number(root) for root in roots)
        if is_lost or self._deepest >= 0 or self.sink.tracing.is_open:
            with torch.no_grad():
                self._walk(roots, is_lost=is_lost)

    def _walk(self, roots: Sequence[Tensor], *, is_lost: bool) -> None:
        nodes: list[AnyNode] = []
        if self.sink.tracing.is_open:
            nodes = nodes_of(roots)
            self._remember(nodes)
        if is_lost:
            self._forward(roots, nodes or nodes_of(roots))
        elif self._deepest >= 0:
            self._backward(roots, nodes)

    def _remember(self, nodes: Sequence[AnyNode]) -> None:
        if not nodes:
            return
        last, raw = number_of(nodes[0]), self.sink.tracing.recorder.recorded
        kinds = {last - number_of(node): node.name() for node in nodes}
        self._deepest = max([self._deepest, *(last - number_of(node) for node in nodes if may_be_singular(node))])
        if kinds not in [each.kinds for each in self._profiles] and len(self._profiles) < _MOST_PROFILES:
            self._profiles.append(_Profile(kinds, last, raw))

    def _forward(self, roots: Sequence[Tensor], nodes: Sequence[AnyNode]) -> None:
        batch = self._batch.lost()
        if batch is not None:
            self._is_latest, self._pending = True, batch
            return
        culprit = first_not_finite(nodes)
        if culprit is not None:
            self._suspect("forward", culprit, roots, nodes)

    def _backward(self, roots: Sequence[Tensor], nodes: Sequence[AnyNode]) -> None:
        numbers = [number_of(root.grad_fn) for root in roots if root.grad_fn is not None]
        near = nodes or nodes_of(roots, down_to=max(numbers, default=0) - self._deepest)
        culprit = first_singular(near)
        if culprit is not None:
            self._suspect("backward", culprit, roots, near)

    def _suspect(self, where: Where, culprit: AnyNode, roots: Sequence[Tensor], nodes: Sequence[AnyNode]) -> None:
        operation = self._operation(culprit, nodes)
        site, module, kind = (operation.site, operation.module, operation.kind) if operation else (None, "", "")
        name = operation.name if operation is not None else _function_of(culprit.name())
        made = Made(name, culprit.name(), ranges_of(culprit, nodes), site, module, kind)
        loss = float(roots[0].flatten()[0])
        self._is_latest = True
        self._pending = NumbersLost(self.sink.step, where, made, loss, self.sink.sites.here())

    def _operation(self, culprit: AnyNode, nodes: Sequence[AnyNode]) -> Operation | None:
        """The operation that made a node, told by a traced step in which all nodes after it were the same."""
        last = number_of(nodes[0])
        own = last - number_of(culprit)
        kinds = {at: node.name() for node in nodes if (at := last - number_of(node)) <= own}
        for profile in reversed(self._profiles):
            if kinds == {at: kind for at, kind in profile.kinds.items() if at <= own}:
                made = profile.operation_at(own)
                return None if made is None else operation_of(made, self.sink.sites)
        return None

    def _about_to_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        self._has_stepped = True
        suspect = self._pending
        if suspect is None or self.is_off or self._is_done or not self.sink.hears_this_thread():
            return
        try:
            is_of_forward = isinstance(suspect, BatchNotFinite) or suspect.where == "forward"
            if (is_of_forward and self._is_latest) or _has_lost_gradients(optimizer):
                self._is_done = True
                self._profiles.clear()
                self.sink.emit(suspect)
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)


def _is_number(root: Tensor) -> bool:
    return math.isfinite(root.item()) if root.numel() == 1 else bool(root.isfinite().all())


def _has_lost_gradients(optimizer: Optimizer) -> bool:
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - no public way
        gradients = [each.grad for each in parameters_of(optimizer) if each.grad is not None]
        return any(each.layout is torch.strided and not bool(each.isfinite().all()) for each in gradients)


def _function_of(node: str) -> str:
    """What the user may have called, from autograd's name: `LinalgVectorNormBackward0`."""
    name = node.rstrip("0123456789").removesuffix("Backward")
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")
