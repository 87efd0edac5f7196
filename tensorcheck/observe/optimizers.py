"""Optimizers: what they hold, when they step and when gradients are zeroed."""

import sys
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tensorcheck.events.backward import GradientsArrived, ZeroedElsewhere
from tensorcheck.events.checkpoint import BestCompared, BestReferenced, BestStuck
from tensorcheck.events.crash import Stage
from tensorcheck.events.event import Event
from tensorcheck.events.optimizer import CopyTrained, GivenTwice, OptimizerSeen, ParametersForgotten, StepTaken
from tensorcheck.events.passes import CounterAccumulated
from tensorcheck.events.traced import StepTraced
from tensorcheck.observe.best_keeping import tell_of_best
from tensorcheck.observe.best_starts import tell_of_starts
from tensorcheck.observe.counters import tell_of_counters
from tensorcheck.observe.describe import kinds_of
from tensorcheck.observe.followed import Followed, FollowedOptimizers
from tensorcheck.observe.forgotten import ROUNDS, Suspected, suspected_by
from tensorcheck.observe.frames import file_of_caller, user_frame
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.loaded_modules import LoadedModules
from tensorcheck.observe.optimized import parameters_of
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.stack import standing
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.uncalled import uncalled
from tensorcheck.sites import Site


class OptimizerProbe(Probe):
    """Hears every optimizer of the process; those that hold no parameter of a watched model are let pass."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset(
        {
            *(OptimizerSeen, GivenTwice, ParametersForgotten, CopyTrained, StepTaken, StepTraced, GradientsArrived),
            *(BestCompared, BestReferenced, BestStuck, CounterAccumulated),
        }
    )
    stage: ClassVar[Stage] = "step"

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._loaded = LoadedModules(self)

    def attach(self, handles: ExitStack) -> None:
        """Patch the constructor, and register the hooks that all optimizers share."""
        handles.enter_context(PATCHES.patch_attribute(Optimizer, "__init__", self))
        self._loaded.attach(handles)
        for handle in (
            register_optimizer_step_pre_hook(timed(self._about_to_step)),
            register_optimizer_step_post_hook(timed(self._stepped)),
        ):
            handles.enter_context(PATCHES.undo_in_forks(handle.remove))
        handles.callback(self._about_to_close)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """An optimizer was built."""
        followed = self._optimizers.known(args[0])
        followed.built, followed.loads = self.sink.sites.here(), self._loaded.count
        self.sink.found(args[0])

    def _about_to_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.is_off:
            return
        try:
            if len(args) == 1 and not kwargs:  # a closure is the user's own code
                self.sink.tracing.suspend_for_optimizer()
            followed = self._optimizers.follow(optimizer)
            if followed.suspected:
                self._look_again(followed)
            if followed.copied.is_wanted(optimizer):
                self._look_for_copy(followed, optimizer)
            for subject in followed.subjects:
                if not followed.has_stepped:
                    self._first_step(followed, optimizer, subject)
                elif subject.was_thawed or _is_due(subject.step):
                    self._later_step(followed, optimizer, subject)
                if self.sink.tracing.is_open and (subject.calls or subject.whole is not None):
                    arrived = _gradients_arrived(subject, optimizer)
                    subject.reached = frozenset(arrived.reached)
                    self.sink.emit(arrived, subject)
            followed.has_stepped = True
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _first_step(self, followed: Followed, optimizer: Optimizer, subject: Subject) -> None:
        site, held = self.sink.sites.here(), _held(optimizer, subject)
        self.sink.emit(_optimizer_seen(subject, optimizer, held, built=followed.built, site=site), subject)
        if twice := _held_twice(optimizer, subject):
            kind = type(optimizer).__name__
            self.sink.emit(GivenTwice(subject.step, kind, twice, built=followed.built, site=site), subject)
        if self.sink.wants(ParametersForgotten):
            suspected = suspected_by(optimizer, subject, held, built=followed.built, site=site)
            followed.suspected += [(subject, suspected)] if suspected is not None else []
        if self.sink.wants(BestCompared) or self.sink.wants(BestReferenced):
            tell_of_best(self.sink, subject)
        if self.sink.wants(BestStuck):
            tell_of_starts(self.sink, subject)
        if self.sink.wants(CounterAccumulated):
            tell_of_counters(self.sink, subject)

    def _later_step(self, followed: Followed, optimizer: Optimizer, subject: Subject) -> None:
        """Whether parameters were added, replaced or unfrozen since the first step, and not given to it."""
        subject.was_thawed = False
        if self.sink.wants(BestStuck):
            tell_of_starts(self.sink, subject)
        if self.sink.wants(ParametersForgotten) and not followed.suspected:
            subject.read_names()
            held, site = _held(optimizer, subject), self.sink.sites.here()
            suspected = suspected_by(
                optimizer, subject, held, built=followed.built, site=site, besides=followed.forgotten
            )
            followed.suspected += [(subject, suspected)] if suspected is not None else []

    def _look_again(self, followed: Followed) -> None:
        """Whether what the first step left out stood still since."""
        for subject, suspected in followed.suspected:
            suspected.look_again()
            if suspected.rounds == ROUNDS:
                self._confirm(followed, subject, suspected)
        followed.suspected = [each for each in followed.suspected if each[1].rounds < ROUNDS]

    def _confirm(self, followed: Followed, subject: Subject, suspected: Suspected) -> None:
        event = suspected.confirmed(subject.step)
        followed.forgotten |= suspected.names
        if event is not None:
            self.sink.emit(event, subject)

    def _look_for_copy(self, followed: Followed, optimizer: Optimizer) -> None:
        found = followed.copied.look(optimizer, followed.built, self.sink.sites.here)
        if found is None or not self.sink.wants_optimizer(optimizer):
            return
        load = self._loaded.load_of(found.model, since=followed.loads)
        place = load.site if load is not None else None
        event = replace(found.event, loaded=place, is_assigned=load is not None and load.replaces)
        for subject in self.sink.subjects:
            if subject in followed.subjects or subject.model() is found.model:
                self.sink.emit(replace(event, step=subject.step), subject)
                return

    def _about_to_close(self) -> None:
        """The run may have been short; where it broke off at once, an update by hand had yet to come."""
        for followed in self._optimizers:
            for subject, suspected in followed.suspected:
                if suspected.rounds or sys.exc_info()[0] is None:
                    self._confirm(followed, subject, suspected)
            followed.suspected = []

    def _stepped(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self.is_off:
            return
        try:
            followed = self._optimizers.known(optimizer)
            followed.steps += 1
            if followed.steps == 1 and (file := file_of_caller()):
                followed.stepped, followed.stepped_in = self.sink.sites.here(), file
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
                optimizer=_spelled(optimizer) if carried == _MANY else "",
                zeroed=subject.zeroed,
                uncalled=_uncalled(subject, optimizer, is_carried=carried == _MANY),
            )
            self.sink.emit(event, subject, signature=key)
        if subject.step == 0 and self.sink.tracing.is_open:
            self.sink.emit(StepTraced(0, self.sink.tracing.trace(self.sink.sites)), subject)
        subject.step += 1
        subject.is_call_traced = False
        self.sink.tracing.step_taken(subject.step)


def _is_due(step: int) -> bool:
    """At the steps 4, 8, 16 and so on: what was changed is seen before the run is twice as long."""
    return step >= _FIRST_DUE and not step & (step - 1)


_FIRST_DUE = 4


def _uncalled(subject: Subject, optimizer: Optimizer, *, is_carried: bool) -> Site | None:
    """What names the method that is missing and does not call it."""
    model = subject.model()
    if is_carried:
        return uncalled("zero_grad", optimizer, model)
    is_evaluating = not subject.is_training and bool(subject.mode_layers)
    return uncalled("train", model) if is_evaluating and model is not None else None


def _spelled(optimizer: Optimizer) -> str:
    with standing() as frames:
        ancestors = Lineages(frames).of_object(optimizer).ancestors
        return ancestors[0].name if ancestors else ""


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
        if not followed.was_zeroed:
            followed.was_zeroed = True
            self._zeroed_first(args[0])

    def _zeroed_first(self, optimizer: Optimizer) -> None:
        for subject in self.sink.subjects:
            if not any(map(subject.name_of, parameters_of(optimizer))):
                zeroed_elsewhere(self.sink, subject)
            elif subject.zeroed is None:
                subject.zeroed = self.sink.sites.here()


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
            elif subject.zeroed is None:
                subject.zeroed = self.sink.sites.here()


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
    sink.found(optimizer)
    watched = sink.subjects if sink.wants_optimizer(optimizer) else ()
    for subject in watched:
        subject.read_names()
    return tuple(subject for subject in watched if _held(optimizer, subject))


def _held(optimizer: Optimizer, subject: Subject) -> dict[str, Tensor]:
    """The parameters of the model that the optimizer holds, by their dotted paths."""
    return {name: tensor for tensor in parameters_of(optimizer) if (name := subject.name_of(tensor)) is not None}


def _held_twice(optimizer: Optimizer, subject: Subject) -> tuple[str, ...]:
    """The parameters of the model that stand in it more than once."""
    times = Counter(id(tensor) for tensor in parameters_of(optimizer))
    if len(times) == times.total():
        return ()
    return tuple(name for name, tensor in _held(optimizer, subject).items() if times[id(tensor)] > 1)


def _optimizer_seen(
    subject: Subject, optimizer: Optimizer, held: Mapping[str, Tensor], *, built: Site | None, site: Site | None
) -> OptimizerSeen:
    return OptimizerSeen(
        step=subject.step,
        kind=type(optimizer).__name__,
        held=tuple(held),
        held_frozen=tuple(name for name, tensor in held.items() if not tensor.requires_grad),
        built=built,
        site=site,
        kinds=kinds_of(model) if (model := subject.model()) is not None else {},
        frozen_groups=tuple(_frozen_groups(optimizer, subject)),
    )


def _frozen_groups(optimizer: Optimizer, subject: Subject) -> Iterator[tuple[str, ...]]:
    """The groups, of several, that hold nothing but frozen parameters."""
    groups = [group["params"] for group in optimizer.param_groups]
    for held in groups if len(groups) > 1 else ():
        if held and not any(tensor.requires_grad for tensor in held):
            yield tuple(name for tensor in held if (name := subject.name_of(tensor)) is not None)


def _gradients_arrived(subject: Subject, optimizer: Optimizer) -> GradientsArrived:
    held = [(name, tensor) for name, tensor in _held(optimizer, subject).items() if tensor.requires_grad]
    return GradientsArrived(
        step=subject.step,
        reached=tuple(name for name, tensor in held if tensor.grad is not None),
        missed=tuple(name for name, tensor in held if tensor.grad is None),
    )
