"""Optimizers: what they hold, when they step and when gradients are zeroed."""

import gc
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tensorcheck.events import Event, GradientsArrived, GradientsZeroed, OptimizerSeen, Stage, StepTaken
from tensorcheck.observe.carried import CarriedGradients
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.modules import TRACED_STEPS
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor


@dataclass(slots=True)
class _Known:
    """An optimizer met before: how many parameters it held then, and whose."""

    size: int
    subjects: tuple[Subject, ...]
    has_stepped: bool = False


class _Constructions(Listener):
    """Remembers where optimizers are built."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.places: weakref.WeakKeyDictionary[Optimizer, Site | None] = weakref.WeakKeyDictionary()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """An optimizer was built."""
        self.places[args[0]] = self._sink.sites.here()

    def fault(self, error: Exception) -> None:
        """It could not be told where."""
        self._sink.fault("optimizer constructions", error)


class OptimizerProbe(Probe):
    """Hears every optimizer of the process; those that hold no parameter of a watched model are let pass."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({OptimizerSeen, StepTaken, GradientsArrived, GradientsZeroed})
    stage: ClassVar[Stage] = "step"

    def __init__(self, sink: Sink, carried: CarriedGradients) -> None:
        super().__init__(sink)
        self._carried = carried
        self._built = _Constructions(sink)
        self._known: weakref.WeakKeyDictionary[Optimizer, _Known] = weakref.WeakKeyDictionary()

    def attach(self, handles: ExitStack) -> None:
        """Register the hooks that all optimizers share, and patch `zero_grad`."""
        handles.enter_context(PATCHES.patch_attribute(Optimizer, "__init__", self._built))
        for handle in (
            register_optimizer_step_pre_hook(self._about_to_step),
            register_optimizer_step_post_hook(self._stepped),
        ):
            handles.enter_context(PATCHES.undo_in_forks(handle.remove))
        handles.enter_context(PATCHES.patch_attribute(Optimizer, "zero_grad", self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """`zero_grad` is called."""
        self._carried.zeroed(args[0])
        for subject in self._know(args[0]).subjects:
            self.sink.emit(GradientsZeroed(subject.step), subject)

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        try:
            known = self._know(optimizer)
            for subject in known.subjects:
                self._announce(optimizer, subject, is_new=not known.has_stepped)
            known.has_stepped = True
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _announce(self, optimizer: Optimizer, subject: Subject, *, is_new: bool) -> None:
        if is_new:
            built = self._built.places.get(optimizer)
            event = _optimizer_seen(subject, optimizer, built=built, site=self.sink.sites.here())
            self.sink.emit(event, subject)
        if subject.step < TRACED_STEPS and subject.calls:
            self.sink.emit(_gradients_arrived(subject, optimizer), subject)

    def _stepped(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        try:
            carried = self._carried.stepped(optimizer)
            for subject in self._know(optimizer).subjects:
                self._step_taken(optimizer, subject, is_carried=carried)
        except Exception as fault:  # noqa: BLE001 - likewise
            self.fault(fault)

    def _step_taken(self, optimizer: Optimizer, subject: Subject, *, is_carried: bool) -> None:
        event = StepTaken(
            step=subject.step,
            kind=type(optimizer).__name__,
            is_training=subject.is_training,
            has_mode_layers=subject.has_mode_layers,
            gradients_carried=is_carried,
            site=self.sink.sites.here(),
        )
        subject.step += 1
        self.sink.emit(event, subject)

    def _know(self, optimizer: Optimizer) -> _Known:
        size = sum([len(group["params"]) for group in optimizer.param_groups])
        known = self._known.get(optimizer)
        if known is None or known.size != size:
            known = self._known[optimizer] = _Known(size, self._subjects_of(optimizer))
        return known

    def _subjects_of(self, optimizer: Optimizer) -> tuple[Subject, ...]:
        for subject in self.sink.subjects:
            subject.read_names()
        watched = self.sink.subjects if self.sink.wants_optimizer(optimizer) else ()
        return tuple(subject for subject in watched if _held(optimizer, subject))


def _held(optimizer: Optimizer, subject: Subject) -> dict[str, Tensor]:
    """The parameters of the model that the optimizer holds, by their dotted paths."""
    tensors = (tensor for group in optimizer.param_groups for tensor in group["params"])
    return {name: tensor for tensor in tensors if (name := subject.name_of(tensor)) is not None}


def _optimizer_seen(subject: Subject, optimizer: Optimizer, *, built: Site | None, site: Site | None) -> OptimizerSeen:
    held = _held(optimizer, subject)
    return OptimizerSeen(
        step=subject.step,
        kind=type(optimizer).__name__,
        held=tuple(held),
        held_frozen=tuple(name for name, tensor in held.items() if not tensor.requires_grad),
        forgotten=_forgotten(subject, held),
        built=built,
        site=site,
    )


def _forgotten(subject: Subject, held: dict[str, Tensor]) -> tuple[NamedTensor, ...]:
    """The parameters that have a gradient and that no optimizer holds.

    All optimizers that are alive are asked, for a model may have several, and the others may not have stepped yet.
    """
    missing = {name: tensor for name, tensor in subject.parameters() if name not in held and tensor.grad is not None}
    if not missing:
        return ()
    # `type(...)` and not `isinstance`: that would run the `__class__` property of any lazy proxy on the heap.
    optimizers = [thing for thing in gc.get_objects() if issubclass(type(thing), Optimizer)]
    taken = {id(tensor) for each in optimizers for group in each.param_groups for tensor in group["params"]}
    return tuple(NamedTensor(name, tensor_meta(tensor)) for name, tensor in missing.items() if id(tensor) not in taken)


def _gradients_arrived(subject: Subject, optimizer: Optimizer) -> GradientsArrived:
    held = [(name, tensor) for name, tensor in _held(optimizer, subject).items() if tensor.requires_grad]
    return GradientsArrived(
        step=subject.step,
        reached=tuple(name for name, tensor in held if tensor.grad is not None),
        missed=tuple(name for name, tensor in held if tensor.grad is None),
    )
