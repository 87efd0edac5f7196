"""A training that goes on from a checkpoint, and what of it is restored: the optimizer, the scheduler, the scaler.

That it goes on, and does not begin anew from given weights, is known by what else is restored, or by a loop that begins
with the checkpoint's epoch. Without either nothing is said: a fresh optimizer is what fine-tuning wants.
"""

import ast
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.checkpoint import ResumedWithout
from tensorcheck.events.event import Event
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import file_of_caller, tree_of
from tensorcheck.observe.going_on import numbers_gone_on_with
from tensorcheck.observe.heap import living
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.optimized import parameters_of
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.scopes import within
from tensorcheck.observe.stack import standing
from tensorcheck.sites import Site

_KEYS = {
    "optimizer": frozenset({"state", "param_groups"}),
    "scheduler": frozenset({"last_epoch", "_last_lr"}),
    "scaler": frozenset({"scale", "growth_factor"}),
}
"""What the states hold by which they are known."""


_LOOKS = 8
"""Steps in which an optimizer of the model is looked for: of a teacher there is none."""


@dataclass(slots=True)
class _Read:
    """A checkpoint that was read, without its tensors."""

    site: Site | None
    keys: tuple[str, ...]
    roles: dict[str, str]
    """The keys of the states that are in it, by what they are of."""
    numbers: Mapping[str, int]
    """The whole numbers: an epoch, or a step."""
    passed: int
    """How many epochs the scheduler's state has behind it."""
    groups: tuple[tuple[int, frozenset[str], object], ...]
    """Of each group of the optimizer's state: how many parameters, which settings, and the learning rate."""
    weights: tuple[weakref.ref[Tensor], ...]
    """The first tensor of each part."""
    module: weakref.ref[nn.Module] | None = None
    """What its weights were loaded into."""
    loaded: Site | None = None
    restored: set[str] = field(default_factory=set)
    looks: int = 0
    """How many steps were taken since."""


class ResumeProbe(Probe):
    """Hears `torch.load`, what is restored after it, and the first step that follows."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ResumedWithout})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.read: _Read | None = None

    def attach(self, handles: ExitStack) -> None:
        """Patch all that loads, and hear each step."""
        handles.enter_context(PATCHES.patch_attribute(torch, "load", self))
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "load_state_dict", _Weights(self)))
        for what, owner in (("optimizer", Optimizer), ("scaler", GradScaler), *_schedulers()):
            handles.enter_context(PATCHES.patch_attribute(owner, "load_state_dict", _Restored(self, what)))
        handle = register_optimizer_step_pre_hook(self._about_to_step)
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain what raises."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A file was read."""
        if isinstance(result, dict) and file_of_caller() and self.sink.hears_this_thread():
            read = _read(result, self.sink.sites.here())
            self.read = read if read.roles else self.read  # a sample that is read is no checkpoint

    def _about_to_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        read = self.read
        if read is None or read.module is None or self.is_off or not self.sink.hears_this_thread():
            return
        try:
            read.looks += 1
            self.read = read if read.looks < _LOOKS else None
            module = read.module()
            ours = {id(tensor) for tensor in module.parameters()} if module is not None else set()
            if any(id(tensor) in ours for tensor in parameters_of(optimizer)):
                self.read = None
                self._tell(read, optimizer)
        except Exception as error:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(error)

    def _tell(self, read: _Read, optimizer: Optimizer) -> None:
        sign = _sign(read)
        for what, fresh in _fresh(read, optimizer) if sign else ():
            event = ResumedWithout(
                step=self.sink.step,
                what=what,
                kind=type(fresh).__name__,
                key=read.roles.get(what, ""),
                keys=read.keys,
                weights=read.loaded,
                read=read.site,
                sign=sign,
            )
            self.sink.emit(event)


def _schedulers() -> Iterator[tuple[str, type]]:
    """The schedulers that load a state in their own way."""
    open_ones, met = [LRScheduler], set[type]()
    while open_ones:
        each = open_ones.pop()
        open_ones += [kind for kind in each.__subclasses__() if kind not in met]
        met.update(each.__subclasses__())
        if "load_state_dict" in vars(each):
            yield "scheduler", each


def _read(held: Mapping[Any, Any], site: Site | None) -> _Read:
    keys = tuple(key for key in held if isinstance(key, str))
    roles = {what: key for key in reversed(keys) for what, names in _KEYS.items() if _is_state(held[key], names)}
    parts = [held, *(value for value in held.values() if isinstance(value, Mapping))]
    first = [next((each for each in part.values() if isinstance(each, Tensor)), None) for part in parts]
    scheduler = held[roles["scheduler"]] if "scheduler" in roles else {}
    return _Read(
        site=site,
        keys=keys,
        roles=roles,
        numbers={key: held[key] for key in keys if type(held[key]) is int},
        passed=scheduler.get("last_epoch", 0),
        groups=_groups(held[roles["optimizer"]]["param_groups"]) if "optimizer" in roles else (),
        weights=tuple(weakref.ref(tensor) for tensor in first if tensor is not None),
    )


def _is_state(value: object, names: frozenset[str]) -> bool:
    return isinstance(value, Mapping) and names <= value.keys()


def _groups(groups: list[dict[str, Any]]) -> tuple[tuple[int, frozenset[str], object], ...]:
    return tuple(
        (len(group["params"]), frozenset(group) - {"params", "initial_lr"}, group.get("initial_lr", group.get("lr")))
        for group in groups
    )


def _sign(read: _Read) -> str:
    """What shows that the training goes on; empty where nothing does."""
    if read.restored:
        return f"the {min(read.restored)} is restored"
    begun = {number for each in read.numbers.values() for number in (each, each + 1) if number > 0}
    with standing() as frames:
        for scope in scopes_of(frames) if begun else ():
            tree = tree_of(scope.filename) or ast.Module([], [])
            here = {id(node) for node in within(scope.body)}
            for node in numbers_gone_on_with(tree, read.numbers):
                if id(node) in here and value_of(node, scope) in begun:
                    return f"a loop goes on from `{ast.unparse(node)}`"
    return ""


def _fresh(read: _Read, optimizer: Optimizer) -> Iterator[tuple[str, object]]:
    """What belongs to the training and is as new, though its state was kept."""
    is_same = _groups(optimizer.param_groups) == read.groups
    if is_same and "optimizer" not in read.restored and not optimizer.state:
        yield "optimizer", optimizer
    if "scheduler" in read.roles and "scheduler" not in read.restored and read.passed:
        own = (each for each in living(LRScheduler) if getattr(each, "optimizer", None) is optimizer)
        yield from (("scheduler", each) for each in own if not each.last_epoch and type(each) in _USUAL)
    if "scaler" in read.roles and "scaler" not in read.restored:
        yield from (("scaler", each) for each in living(GradScaler) if each.is_enabled())


_USUAL = tuple(vars(torch.optim.lr_scheduler).values())


class _Weights(Listener):
    """Hears `load_state_dict` of modules."""

    def __init__(self, probe: ResumeProbe) -> None:
        self._probe = probe

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Weights were loaded: those of the file, if one of its tensors is among them."""
        read, given = self._probe.read, args[1] if len(args) > 1 else kwargs.get("state_dict")
        if read is None or read.module is not None or not isinstance(given, Mapping):
            return
        theirs = {id(tensor) for reference in read.weights if (tensor := reference()) is not None}
        if any(id(value) in theirs for value in given.values()):
            read.module, read.loaded = weakref.ref(args[0]), self._probe.sink.sites.here()

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._probe.fault(error)


class _Restored(Listener):
    """Hears `load_state_dict` of what is beside a model."""

    def __init__(self, probe: ResumeProbe, what: str) -> None:
        self._probe = probe
        self._what = what

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A state was restored."""
        if self._probe.read is not None:
            self._probe.read.restored.add(self._what)

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._probe.fault(error)
