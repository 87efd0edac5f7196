"""Optimizers: what they hold, when they step and when gradients are zeroed."""

import weakref
from contextlib import ExitStack
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tensorcheck.events import Event, GradientsArrived, OptimizerSeen, Stage, StepTaken, StepTraced, ZeroedElsewhere
from tensorcheck.observe.followed import Followed, FollowedOptimizers
from tensorcheck.observe.forgotten import forgotten_by
from tensorcheck.observe.frames import user_frame
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site


class OptimizerProbe(Probe):
    """Hears every optimizer of the process; those that hold no parameter of a watched model are let pass."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({OptimizerSeen, StepTaken, StepTraced, GradientsArrived})
    stage: ClassVar[Stage] = "step"

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers

    def attach(self, handles: ExitStack) -> None:
        """Patch the constructor, and register the hooks that all optimizers share."""
        handles.enter_context(PATCHES.patch_attribute(Optimizer, "__init__", self))
        for handle in (
            register_optimizer_step_pre_hook(self._about_to_step),
            register_optimizer_step_post_hook(self._stepped),
        ):
            handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """An optimizer was built."""
        self._optimizers.known(args[0]).built = self.sink.sites.here()

    def _about_to_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.is_off:
            return
        try:
            if len(args) == 1 and not kwargs:  # a closure is the user's own code
                self.sink.tracing.suspend_for_optimizer()
            followed = self._optimizers.follow(optimizer)
            for subject in followed.subjects:
                if not followed.has_stepped:
                    site = self.sink.sites.here()
                    self.sink.emit(_optimizer_seen(subject, optimizer, built=followed.built, site=site), subject)
                if self.sink.tracing.is_open and (subject.calls or subject.whole is not None):
                    arrived = _gradients_arrived(subject, optimizer)
                    subject.reached = frozenset(arrived.reached)
                    self.sink.emit(arrived, subject)
            followed.has_stepped = True
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _stepped(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self.is_off:
            return
        try:
            followed = self._optimizers.known(optimizer)
            self.sink.tracing.resume_after_optimizer(optimizer)
            followed.carried.stepped(optimizer)
            for subject in followed.subjects:
                self._step_taken(followed, optimizer, subject)
        except Exception as fault:  # noqa: BLE001 - likewise
            self.fault(fault)

    def _step_taken(self, followed: Followed, optimizer: Optimizer, subject: Subject) -> None:
        carried = min(followed.carried.in_a_row, _MANY)
        key = ("step", subject, followed, subject.is_training, carried)
        if not self.sink.is_known(key):
            event = StepTaken(
                step=subject.step,
                kind=type(optimizer).__name__,
                is_training=subject.is_training,
                mode_layers=subject.mode_layers,
                gradients_carried=carried,
                backwards=self.sink.backwards,
                site=self.sink.sites.here(),
            )
            self.sink.emit(event, subject, signature=key)
        if subject.step == 0 and self.sink.tracing.is_open:
            self.sink.emit(StepTraced(0, self.sink.tracing.trace(self.sink.sites)), subject)
        subject.step += 1
        subject.is_call_traced = False
        self.sink.tracing.step_taken(subject.step)


class ZeroGradProbe(Probe):
    """Hears `zero_grad` of optimizers."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({StepTaken})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers

    def attach(self, handles: ExitStack) -> None:
        """Patch the method that all optimizers share."""
        handles.enter_context(PATCHES.patch_attribute(Optimizer, "zero_grad", self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Gradients are about to be zeroed."""
        followed = self._optimizers.known(args[0])
        followed.carried.zeroed()
        if not followed.subjects:
            self._zeroed_elsewhere()

    def _zeroed_elsewhere(self) -> None:
        for subject in self.sink.subjects:
            zeroed_elsewhere(self.sink, subject)


class ModuleZeroGradProbe(Probe):
    """Hears `zero_grad` of modules."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ZeroedElsewhere})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._compared: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        """The modules whose parameters were compared with those of the models: that takes longer than a step may."""

    def attach(self, handles: ExitStack) -> None:
        """Patch the method that all modules share."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "zero_grad", self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Gradients are about to be zeroed."""
        if args[0] in self._compared:
            return
        self._compared.add(args[0])
        held = {id(tensor) for tensor in args[0].parameters()}
        for subject in self.sink.subjects:
            if not any(id(tensor) in held for _, tensor in subject.parameters()):
                zeroed_elsewhere(self.sink, subject)


def zeroed_elsewhere(sink: Sink, subject: Subject) -> None:
    """Somebody zeroed gradients that are not this model's; each place is told once."""
    frame = user_frame()
    key = ("zeroed elsewhere", subject, (id(frame.f_code), frame.f_lasti) if frame is not None else None)
    if sink.hears_this_thread() and not sink.is_known(key):
        sink.emit(ZeroedElsewhere(subject.step, sink.sites.here()), subject, signature=key)


_MANY = 2
"""Steps in a row after which one more makes no difference to any rule, and so to what was seen."""


def subjects_of(sink: Sink, optimizer: Optimizer) -> tuple[Subject, ...]:
    """The watched models that an optimizer holds parameters of."""
    watched = sink.subjects if sink.wants_optimizer(optimizer) else ()
    for subject in watched:
        subject.read_names()
    return tuple(subject for subject in watched if _held(optimizer, subject))


def _held(optimizer: Optimizer, subject: Subject) -> dict[str, Tensor]:
    """The parameters of the model that the optimizer holds, by their dotted paths."""
    tensors = (tensor for group in optimizer.param_groups for tensor in group["params"])
    return {name: tensor for tensor in tensors if (name := subject.name_of(tensor)) is not None}


def _optimizer_seen(subject: Subject, optimizer: Optimizer, *, built: Site | None, site: Site | None) -> OptimizerSeen:
    held = _held(optimizer, subject)
    forgotten = forgotten_by(optimizer, subject, held)
    return OptimizerSeen(
        step=subject.step,
        kind=type(optimizer).__name__,
        held=tuple(held),
        held_frozen=tuple(name for name, tensor in held.items() if not tensor.requires_grad),
        forgotten=forgotten.parameters,
        built=built,
        site=site,
        lineage=forgotten.lineage,
        definitions=forgotten.definitions,
        containers=forgotten.containers,
    )


def _gradients_arrived(subject: Subject, optimizer: Optimizer) -> GradientsArrived:
    held = [(name, tensor) for name, tensor in _held(optimizer, subject).items() if tensor.requires_grad]
    return GradientsArrived(
        step=subject.step,
        reached=tuple(name for name, tensor in held if tensor.grad is not None),
        missed=tuple(name for name, tensor in held if tensor.grad is None),
    )
