"""Whether gradients get from the losses to what the optimizers hold, in the steps that are traced."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import _disable_current_modes

from tensorcheck.events.event import Event
from tensorcheck.events.gradients import (
    CutKind,
    GradientCut,
    GradientsBlocked,
    GradientsLost,
    GradientsZero,
    LossWasLeaf,
    ParametersUnreached,
    TensorUnregistered,
)
from tensorcheck.knowledge.gradient_flow import GradientFlow
from tensorcheck.observe.describe import is_a, kinds_of, tensor_meta
from tensorcheck.observe.differentiations import custom_function
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.followed import Followed, FollowedOptimizers
from tensorcheck.observe.holders import site_of_attribute
from tensorcheck.observe.idle import IdleParameters
from tensorcheck.observe.lineages import lines_of_loss
from tensorcheck.observe.loose_tensors import loose_tensors
from tensorcheck.observe.optimized import optimized_parameters, parameters_of
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.raw_steps import RawStep, trace_of
from tensorcheck.observe.reach import Blocking, Reach, reach_of
from tensorcheck.observe.recurring import Recurring
from tensorcheck.observe.stack import standing
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.unregistered import modules_at_hand
from tensorcheck.observe.zeros import ZeroGradients
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Trace

_MOST_BACKWARDS = 4
"""Of a step that accumulates gradients so many are looked at: the others do the same."""
_MEANT = frozenset({"teacher", "target", "ema", "momentum", "average", "shadow", "reference", "ref", "old", "frozen"})
"""Parts of the names of modules that are moved by other means than gradients."""


@dataclass(slots=True)
class _Backward:
    """One backward pass that is about to run, or did."""

    reach: Reach
    raw: RawStep
    """The step that was recorded when it ran."""
    losses: tuple[int, ...]
    """The places of what it was called on among that step's values."""
    is_leaf: bool
    """Whether all that it was called on are leaves and no parameters."""
    site: Site | None
    lines: frozenset[tuple[str, int]] = frozenset()
    """The lines that the losses' expressions lead back to, where these were looked for."""


@dataclass(slots=True)
class _Round:
    """What an optimizer is about to step with."""

    subject: Subject
    followed: Followed
    optimizer: Optimizer
    backwards: Sequence[_Backward]
    held: Mapping[str, Tensor]
    """The parameters of the model that it holds and that want a gradient."""
    missed: Mapping[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.missed = {name: tensor for name, tensor in self.held.items() if tensor.grad is None}

    def free(self) -> set[str]:
        """Those that some backward pass could reach."""
        ids = {key for each in self.backwards for key in each.reach.free}
        return {name for name, tensor in self.held.items() if id(tensor) in ids}

    def gated(self) -> set[str]:
        """Those that some backward pass left out on purpose, and none reached."""
        ids = {key for each in self.backwards for key in each.reach.gated}
        return {name for name, tensor in self.held.items() if id(tensor) in ids} - self.free()

    def blocked(self) -> dict[str, tuple[Blocking, _Backward]]:
        """Those that each way to leads through a node that may pass nothing on."""
        free = self.free()
        blocked = {key: (by, each) for each in self.backwards for key, by in each.reach.blocked.items()}
        return {name: blocked[id(each)] for name, each in self.held.items() if id(each) in blocked and name not in free}


class GradientFlowProbe(Probe):
    """Reads the graph before each backward pass, and the trace where something did not get its gradient."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset(
        {GradientsLost, GradientsBlocked, LossWasLeaf, ParametersUnreached, GradientsZero, TensorUnregistered}
    )

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._backwards: list[_Backward] = []
        self._has_stepped = False
        self._steps_alone: set[Followed] = set()
        """The optimizers that stepped after a backward pass of their own."""
        self._wants_lines = False
        """Whether some number may have left PyTorch on its way to the loss."""
        self._recurring = Recurring()
        self._idle = IdleParameters(sink)
        self._zeros = ZeroGradients(sink)

    def attach(self, handles: ExitStack) -> None:
        """Patch `torch.autograd.backward`, and register the hook that all optimizers share."""
        handles.enter_context(PATCHES.patch_attribute(torch.autograd, "backward", self))
        handle = register_optimizer_step_pre_hook(timed(self._about_to_step))
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))
        handles.callback(self._about_to_close)

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Gradients are about to be added."""
        if not self.sink.tracing.is_open or not self.sink.hears_this_thread():
            return
        if self._has_stepped:
            self._has_stepped = False
            self._backwards.clear()
        if len(self._backwards) < _MOST_BACKWARDS:
            # A user's modes must not see us read the graph.
            with torch._C.DisableTorchFunction(), _disable_current_modes():  # noqa: SLF001 - no public way
                self._backwards += self._read(args, kwargs)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Gradients were added."""
        if self.sink.tracing.is_open and self._backwards and len(self._backwards) < _MOST_BACKWARDS:
            for subject in self.sink.subjects:
                self._zeros.arrived(subject)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Another probe explains it."""

    def _read(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[_Backward]:
        given = args[0] if args else kwargs.get("tensors")
        roots = [given] if isinstance(given, Tensor) else [each for each in given or () if is_a(each, Tensor)]
        recorder = self.sink.tracing.recorder
        places = [recorder.place_of(root) for root in roots]
        reach = reach_of(roots)
        is_leaf = not reach.has_parameters and not any(is_a(root, torch.nn.Parameter) for root in roots)
        asked = kwargs.get("inputs") if len(args) < _PLACE_OF_INPUTS else args[_PLACE_OF_INPUTS - 1]
        yield _Backward(
            reach if asked is None else reach._replace(is_whole=False),
            recorder.recorded,
            tuple(place for place in places if place is not None),
            is_leaf,
            self.sink.sites.here(),
            lines_of_loss() if self._wants_lines else frozenset(),
        )

    def _about_to_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.is_off:
            return
        try:
            self._idle.look(optimizer)
            is_closed = len(args) == 1 and not kwargs  # a closure computes the gradients later
            if self.sink.tracing.is_open and is_closed and self.sink.hears_this_thread():
                with torch._C.DisableTorchFunction():  # noqa: SLF001 - no public way
                    self._look(self._optimizers.follow(optimizer), optimizer)
            elif is_closed:
                self._zeros.look_later(optimizer)
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _look(self, followed: Followed, optimizer: Optimizer) -> None:
        if not self._has_stepped and self._backwards:
            self._steps_alone.add(followed)
        self._has_stepped = True
        if not self._backwards or not all(each.reach.is_whole for each in self._backwards):
            return
        for subject in followed.subjects:
            held = {name: each for each in parameters_of(optimizer) if (name := subject.name_of(each)) is not None}
            wanted = {name: each for name, each in held.items() if each.requires_grad}
            self._judge(_Round(subject, followed, optimizer, tuple(self._backwards), wanted))

    def _judge(self, now: _Round) -> None:
        if now.missed and len(now.missed) == len(now.held) and all(each.is_leaf for each in now.backwards):
            self._leaf(now)
            return
        blocked = now.blocked()
        self._blocked(now, blocked)
        self._loose(now)
        left_out = blocked.keys() | now.gated()
        open_to = {name: each for name, each in now.held.items() if name not in left_out}
        self._zeros.look(now.subject, now.optimizer, open_to)
        reached = now.free() | left_out
        lost = {name: each for name, each in now.missed.items() if name not in reached and not _is_meant(name)}
        if lost:
            self._lost(now, lost)

    def _leaf(self, now: _Round) -> None:
        last = now.backwards[-1]
        if not self._flow(last.raw, now.missed).may_have_made(last.losses):
            return  # a zero that stands for a batch without anything to learn from
        if self._recurring.unmoved("leaf", now.followed, now.subject, now.missed):
            trace = trace_of(last.raw, self.sink.sites)
            made = _maker(trace, last.losses)
            names, kinds = tuple(now.missed), _kinds(now.subject)
            event = LossWasLeaf(now.subject.step, names, made, last.site, kinds)
            self.sink.emit(event, now.subject)

    def _blocked(self, now: _Round, blocked: Mapping[str, tuple[Blocking, _Backward]]) -> None:
        groups: dict[Hashable, list[str]] = {}
        for name, (by, _) in blocked.items():
            if by.function is None or name in now.missed:
                groups.setdefault(by.function or by.node, []).append(name)
        for names in groups.values():
            by, backward = blocked[names[0]]
            if self._recurring.is_again((by.node.kind, names[0]), now.followed, now.subject):
                event = GradientsBlocked(
                    step=now.subject.step,
                    node=by.node.kind,
                    names=tuple(names),
                    operation=self.sink.tracing.recorder.maker_of(by.node, self.sink.sites),
                    custom=custom_function(by.function) if by.function is not None else None,
                    backward=backward.site,
                    kinds=_kinds(now.subject),
                )
                self.sink.emit(event, now.subject)

    def _loose(self, now: _Round) -> None:
        """Emit the attributes that want a gradient, that nothing moved and that no optimizer holds."""
        model = now.subject.model()
        found = loose_tensors(now.subject, now.backwards[-1].raw) if self.sink.wants(TensorUnregistered) else {}
        for name, tensor in found.items():
            if not self._recurring.unmoved(("loose", name), now.followed, now.subject, {name: tensor}):
                continue
            if id(tensor) not in optimized_parameters():
                assert model is not None  # noqa: S101 - its tensors were found
                holder = model.get_submodule(name.rpartition(".")[0])
                event = TensorUnregistered(
                    step=now.subject.step,
                    name=name,
                    kind=type(holder).__name__,
                    meta=tensor_meta(tensor),
                    is_leaf=tensor.is_leaf,
                    site=site_of_attribute(type(holder), name.rpartition(".")[2]),
                    step_site=self.sink.sites.here(),
                )
                self.sink.emit(event, now.subject)

    def _lost(self, now: _Round, lost: Mapping[str, Tensor]) -> None:
        cut: set[str] = set()
        flows = self._flows(now, lost)
        for backward, flow in flows:
            for each in flow.cuts(backward.losses, backward.lines):
                names = {name: lost[name] for name in each.names if name not in cut}
                cut |= names.keys()
                self._cut(now, each, names, backward)
        self._wants_lines = self._wants_lines or len(cut) < len(lost)
        if all(backward.losses for backward in now.backwards):
            used = {name: operation for _, flow in flows for name, operation in flow.used().items()}
            rest = {name: each for name, each in lost.items() if name not in cut}
            self._idle.suspect(now.subject, now.optimizer, rest, used, all_held=set(now.held))

    def _flows(self, now: _Round, lost: Mapping[str, Tensor]) -> list[tuple[_Backward, GradientFlow]]:
        before = self._flow(self.sink.tracing.recorder.recorded_before, lost)
        steps = {id(each.raw): each.raw for each in now.backwards}
        known = {key: self._flow(raw, lost, before) for key, raw in steps.items()}
        return [(each, known[id(each.raw)]) for each in now.backwards]

    def _flow(self, raw: RawStep, lost: Mapping[str, Tensor], before: GradientFlow | None = None) -> GradientFlow:
        names = {id(tensor): name for name, tensor in lost.items()}
        parameters = {place: names[key] for place, key in raw.parameters.items() if key in names}
        return GradientFlow(trace_of(raw, self.sink.sites), parameters, before)

    def _cut(self, now: _Round, cut: GradientCut, names: Mapping[str, Tensor], backward: _Backward) -> None:
        site = cut.operation.grad_off if cut.kind is CutKind.SWITCHED_OFF else cut.operation.site
        still = self._recurring.unmoved((cut.kind, site), now.followed, now.subject, names)
        if still:
            event = GradientsLost(
                step=now.subject.step,
                cut=GradientCut(cut.kind, cut.operation, still, cut.got),
                optimizer=type(now.optimizer).__name__,
                is_all=len(now.missed) == len(now.held),
                has_rival=now.followed in self._steps_alone and len(self._steps_alone) > 1,
                model=_called(now.subject),
                backward=backward.site,
                step_site=self.sink.sites.here(),
                is_meant=cut.kind is CutKind.SWITCHED_OFF and not _is_training(now.subject, still),
                kinds=_kinds(now.subject),
            )
            self.sink.emit(event, now.subject)

    def _about_to_close(self) -> None:
        self._zeros.close()
        self._idle.close()


_PLACE_OF_INPUTS = 6
"""Which argument of `torch.autograd.backward` names the tensors that alone get gradients, counted from 1."""


def _maker(trace: Trace, losses: Sequence[int]) -> Operation | None:
    """What made the leaf that a loss is or leads to; a call that only asks for a gradient is not what made it."""
    for place in losses:
        at: int | None = place
        while at is not None and (made := trace.values[at].operation) is not None:
            operation = trace.operations[made]
            graded = [each for each in operation.inputs if trace.values[each].meta.requires_grad]
            if operation.name != "requires_grad_" and (trace.values[at].meta.is_leaf or not graded):
                return operation
            at = next(iter(graded or operation.inputs), None)
    return None


def _called(subject: Subject) -> str:
    """What the running code calls the model; its class where it has no name there."""
    with standing() as frames:
        names = [name for name, each in modules_at_hand(scopes_of(frames)).items() if each is subject.model()]
    return next(iter(names), subject.kind)


def _is_meant(name: str) -> bool:
    """Whether a parameter is of a module whose name says that it is moved by other means."""
    words = {word for part in name.lower().split(".")[:-1] for word in part.split("_")}
    return bool(words & _MEANT)


def _is_training(subject: Subject, names: Sequence[str]) -> bool:
    model = subject.model()
    paths = {name.rpartition(".")[0] for name in names}
    return model is None or any(model.get_submodule(path).training for path in paths)


def _kinds(subject: Subject) -> dict[str, str]:
    model = subject.model()
    return kinds_of(model) if model is not None else {}
