"""Totals and averages that are carried on from step to step in half precision; asked in traced steps, of no values."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import ClassVar

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.event import Event
from tensorcheck.events.numeric import HalfAccumulated
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.raw_steps import RawOperation, RawStep, RawValue, name_of, operation_of

_HALVES = (torch.float16, torch.bfloat16)
_ADDING = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__", "_foreach_add_"})
_AVERAGING = frozenset({"lerp", "lerp_", "_foreach_lerp_"})
_IN_PLACE = frozenset({"lerp_", "_foreach_lerp_"})
"""What is done to nothing but averages, the first time too."""
_SCALING = frozenset({"mul", "mul_", "__mul__", "__rmul__", "__imul__", "_foreach_mul_"})
_ALIASING = frozenset({"detach", "data"})
_LAST = 3
"""The steps that are traced first."""


class HalfTotalProbe(Probe):
    """Looks at the operations of a traced step before its optimizer steps."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({HalfAccumulated})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._told: set[tuple[object, int]] = set()

    def attach(self, handles: ExitStack) -> None:
        """Register the hook that all optimizers share."""
        handle = register_optimizer_step_pre_hook(self._about_to_step)
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        tracing = self.sink.tracing
        if self.is_off or not tracing.is_open or not 0 < self.sink.step < _LAST or not self.sink.hears_this_thread():
            return
        try:
            for operation, value, is_average in _carried_on(
                tracing.recorder.recorded, tracing.recorder.recorded_before
            ):
                place = (operation.code, operation.instruction)
                if place not in self._told:
                    self._told.add(place)
                    self._tell(operation, value, is_average=is_average)
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _tell(self, operation: RawOperation, value: RawValue, *, is_average: bool) -> None:
        made = operation_of(operation, self.sink.sites)
        dtype = str(value.dtype).removeprefix("torch.")
        if made.site is not None:
            self.sink.emit(HalfAccumulated(self.sink.step, dtype, tuple(value.shape), is_average, made.site))


def _carried_on(raw: RawStep, before: RawStep) -> Iterator[tuple[RawOperation, RawValue, bool]]:
    """The sums outside of modules to which the step before added at the same place, and whether each is an average."""
    for operation in raw.operations:
        name = name_of(operation.function)
        if operation.module.kind or name not in _ADDING | _AVERAGING:
            continue
        for place in operation.inputs:
            value = raw.values[place]
            scaled = _unscaled(raw, place)
            is_average = name in _AVERAGING or scaled != place
            if value.dtype not in _HALVES or value.requires_grad or (is_average and not value.shape):
                continue
            if _was_made(raw, before, scaled, operation) or (name in _IN_PLACE and _is_old(raw, scaled)):
                yield operation, value, is_average
                break


def _unscaled(raw: RawStep, place: int) -> int:
    """What was multiplied to give a value, if it was."""
    return _before(raw, place, _SCALING)


def _before(raw: RawStep, place: int, names: frozenset[str]) -> int:
    """What one of these functions made a value of, if one did; of several at once, the one at its place."""
    made = raw.values[place].operation
    if made is None or name_of(raw.operations[made].function) not in names:
        return place
    inputs, outputs = raw.operations[made].inputs, raw.operations[made].outputs
    index = outputs.index(place) if len(inputs) == len(outputs) else 0
    return inputs[index] if inputs else place


def _was_made(raw: RawStep, before: RawStep, place: int, operation: RawOperation) -> bool:
    """Whether the same line made a value in the step before."""
    earlier = raw.earlier.get(place)
    made = before.values[earlier].operation if earlier is not None else None
    return made is not None and _are_at_one_place(before.operations[made], operation)


def _is_old(raw: RawStep, place: int) -> bool:
    """Whether a value is an alias of what was there in the step before."""
    return _before(raw, place, _ALIASING) in raw.earlier


def _are_at_one_place(one: RawOperation, other: RawOperation) -> bool:
    return one.code is other.code and one.instruction == other.instruction and one.function is other.function
