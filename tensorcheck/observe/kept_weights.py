"""Weights that are kept by reference: a `state_dict` that holds the parameters themselves, and is used steps later."""

import ast
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tensorcheck.events.checkpoint import BestCompared, BestReferenced, KeptWeightsMoved, StatesCollected, WeightsLoaded
from tensorcheck.events.event import Event
from tensorcheck.observe.best_keeping import tell_of_best
from tensorcheck.observe.collecting import container_of
from tensorcheck.observe.frames import expression_at, tree_of, user_frame
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site

_MOST_KEPT = 16
"""How many of the dictionaries that were taken last are known."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A `state_dict` that somebody may hold."""

    entry: weakref.ref[Tensor]
    """One of its tensors, which a shallow copy of it holds too."""
    parameter: str
    subject: Subject
    step: int
    name: str
    site: Site

    def is_beside(self, other: "_Taken") -> bool:
        """Whether it was taken at the same place of the code, some steps before, and shares the other's memory."""
        is_alike = self.subject is other.subject and self.site == other.site and self.step < other.step
        return is_alike and self.is_alias()

    def is_alias(self) -> bool:
        """Whether somebody holds it, and it is the model's own memory."""
        entry, model = self.entry(), self.subject.model()
        if entry is None or model is None:
            return False
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
            return type(entry) is Tensor and entry.data_ptr() == model.get_parameter(self.parameter).data_ptr()


class KeptWeightsProbe(Probe):
    """Hears `state_dict`, and what is done with what it gave: `load_state_dict` and `torch.save`."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset(
        {KeptWeightsMoved, WeightsLoaded, BestCompared, BestReferenced, StatesCollected}
    )

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._taken: deque[_Taken] = deque(maxlen=_MOST_KEPT)
        self._collected: set[Site] = set()
        """Where states are taken that were told of as a collection."""

    def attach(self, handles: ExitStack) -> None:
        """Patch all three."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "state_dict", self))
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "load_state_dict", _Loads(self)))
        handles.enter_context(PATCHES.patch_attribute(torch, "save", _Saves(self)))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain what raises."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """A module gave its weights; its own modules are asked too, each with a prefix."""
        if kwargs or len(args) > 1 or not isinstance(result, Mapping) or not self.sink.hears_this_thread():
            return
        for subject in self.sink.subjects:
            if subject.model() is args[0]:
                self._take(subject, result)
                if subject.step:
                    tell_of_best(self.sink, subject)

    def _take(self, subject: Subject, state: Mapping[str, Tensor]) -> None:
        trained = (name for name, tensor in subject.parameters() if tensor.requires_grad and name in state)
        parameter, frame = next(trained, None), user_frame()
        if parameter is None or frame is None:
            return
        node = expression_at(frame.f_code, frame.f_lasti)
        name = _given_name(frame.f_code.co_filename, node)
        site = self.sink.sites.at(frame.f_code, frame.f_lasti)
        taken = _Taken(weakref.ref(state[parameter]), parameter, subject, subject.step, name, site)
        self._taken.append(taken)
        if subject.step and taken.is_alias():
            self._tell_of_collection(taken, frame)

    def _tell_of_collection(self, taken: _Taken, frame: FrameType) -> None:
        """Say so where earlier ones that were taken here are still held by what collects them."""
        earlier = [each for each in self._taken if each.is_beside(taken)]
        if not earlier or taken.site in self._collected or not (container := container_of(frame)):
            return
        self._collected.add(taken.site)
        steps = taken.step - earlier[0].step
        event = StatesCollected(taken.step, container, taken.site, len(earlier) + 1, steps)
        self.sink.emit(event, taken.subject)

    def moved(self, state: object, owner: nn.Module | None) -> None:
        """A dictionary is about to be loaded into a module, or saved."""
        taken = self._found(state)
        if taken is None or taken.subject.step == taken.step or taken.site in self._collected:
            return
        is_loaded = owner is not None
        is_ours = taken.subject.model() is owner if is_loaded else "best" in taken.name.lower()
        if is_ours and isinstance(state, Mapping) and _is_alias(state, taken.subject):
            steps = taken.subject.step - taken.step
            event = KeptWeightsMoved(
                taken.subject.step, taken.name, taken.site, steps, is_loaded, self.sink.sites.here()
            )
            self.sink.emit(event, taken.subject)

    def _found(self, state: object) -> _Taken | None:
        if not isinstance(state, Mapping):
            return None
        return next((each for each in reversed(self._taken) if _holds(state, each)), None)


def _holds(state: Mapping[str, object], taken: _Taken) -> bool:
    entry = taken.entry()
    return entry is not None and state.get(taken.parameter) is entry


def _is_alias(state: Mapping[str, object], subject: Subject) -> bool:
    """Whether every trained parameter stands in it as itself, on the same memory."""
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
        return all(
            type(held := state.get(name)) is Tensor and held.data_ptr() == parameter.data_ptr()
            for name, parameter in subject.parameters()
            if parameter.requires_grad
        )


def _given_name(filename: str, node: ast.AST | None) -> str:
    """The name that a statement gives to what it took, whatever else it does to it; empty where it gives none."""
    for statement in ast.walk(tree_of(filename) or ast.Module([], [])):
        if isinstance(statement, ast.Assign) and any(part is node for part in ast.walk(statement.value)):
            return ast.unparse(statement.targets[0])
    return ""


class _Loads(Listener):
    """Hears `load_state_dict`."""

    def __init__(self, probe: KeptWeightsProbe) -> None:
        self._probe = probe

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Weights are about to be loaded."""
        self._probe.moved(args[1] if len(args) > 1 else kwargs.get("state_dict"), args[0])

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Weights were loaded."""
        sink = self._probe.sink
        for subject in sink.subjects:
            if subject.model() is args[0]:
                sink.emit(WeightsLoaded(subject.step, sink.sites.here()), subject)

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._probe.fault(error)


class _Saves(Listener):
    """Hears `torch.save`."""

    def __init__(self, probe: KeptWeightsProbe) -> None:
        self._probe = probe

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Something is about to be saved: a dictionary of weights, or a checkpoint that holds some."""
        saved = args[0] if args else kwargs.get("obj")
        for each in _dictionaries(saved):
            self._probe.moved(each, None)

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._probe.fault(error)


def _dictionaries(saved: object) -> Iterator[object]:
    yield saved
    if type(saved) is dict:
        yield from (each for each in saved.values() if isinstance(each, Mapping))
