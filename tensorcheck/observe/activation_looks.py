"""What the first steps make of activations: units of a ReLU that never open, and sigmoids that sit at their limits.

Values are read in traced steps alone. An activation is known by the layer whose output it was given, so that one that
is called for several layers is several.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import CodeType
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.event import Event
from tensorcheck.events.numeric import ActivationSaturated, UnitsDead
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.initialisations import initialisation
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.raw_steps import RawOperation, name_of
from tensorcheck.observe.readable import may_read
from tensorcheck.observe.saved_values import saved_of
from tensorcheck.observe.sources import definition_site
from tensorcheck.sites import Site

_UNITS_AT = {
    **dict.fromkeys(("linear", "matmul", "__matmul__", "mm", "addmm", "layer_norm"), -1),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "batch_norm", "group_norm", "instance_norm"), 1),
}
"""The dim of the units in what a function makes."""
_WEIGHING = frozenset({"linear", "matmul", "__matmul__", "mm", "addmm", "conv1d", "conv2d", "conv3d", "bmm", "einsum"})
_PASSING = frozenset({"add", "__add__", "dropout", "contiguous"})
_FARTHEST = 3
_FEWEST_UNITS, _FEWEST_SAMPLES = 8, 8
_MOST = 1 << 22
"""Values; a larger activation is left alone."""
_DEAD = 0.9
"""The share of units that a healthy layer does not lose, however alike its inputs are."""
_ALIVE = 0.5
_MANY = 256
"""Units, of which a few for each sample are enough."""
_FLAT = 1e-3
"""Where the derivative of a sigmoid or of tanh is below this, nothing comes through; the middle has 0.25 or 1."""
_SATURATED, _EACH_END = 0.8, 0.05
_LARGE = 30.0
"""Data with larger values is what saturates, and is said by the rules of data."""
_LOOKS = 3


class _Given(NamedTuple):
    """Which layer's output an activation was given, and where its units are."""

    path: str
    kind: str
    dim: int
    operation: RawOperation


@dataclass(slots=True)
class _Followed:
    """What was seen of one activation, step by step."""

    steps: list[int] = field(default_factory=list)
    dead: list[Tensor] = field(default_factory=list)
    """Which units were zero for all samples."""
    shares: list[float] = field(default_factory=list)
    """Which share of the values was saturated; 0 where it was at one end alone."""
    samples: int = 0
    is_over: bool = False

    def dead_since(self) -> int | None:
        """The first look from which on nearly all units are dead, the same ones; None where that is not so."""
        for first in range(len(self.dead)):
            common = torch.stack(self.dead[first:]).all(0)
            if float(common.float().mean()) >= _DEAD:
                return first
        return None

    def was_born_dead(self, since: int) -> bool:
        """Whether they were dead at each look; of many units all, for sparse codes leave most of them at zero."""
        units = self.dead[0].numel()
        return since == 0 and (units <= _MANY or all(bool(each.all()) for each in self.dead))

    def was_shut(self, since: int) -> bool:
        """Whether the units were alive in the first step, and dead in two at least since."""
        return float(self.dead[0].float().mean()) < _ALIVE and len(self.dead) - since > 1


class ActivationProbe(Probe):
    """Looks at what `relu`, `sigmoid` and `tanh` return while operations are recorded."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({UnitsDead, ActivationSaturated})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._seen: dict[Hashable, _Followed] = {}
        self._told: set[str] = set()
        """What was said: the layers behind the first are as they are by it, or by what made all of them so."""
        self._wants_look = False
        """Whether units died in the last traced step, and have to be looked at once more."""

    def attach(self, handles: ExitStack) -> None:
        """Be told of these functions while operations are recorded."""
        recorder = self.sink.tracing.recorder
        for function, look in dict(self._looks()).items():
            recorder.read_also(function, partial(self._quietly, look), handles)
        handles.callback(self._seen.clear)
        handle = register_optimizer_step_pre_hook(self._about_to_step)
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self._wants_look and not self.sink.tracing.is_open:
            self._wants_look = False
            self.sink.tracing.rearm_next_step()

    def _looks(self) -> Iterator[tuple[Callable[..., Any], Callable[..., None]]]:
        groups = ((("relu", "relu_", "relu6", "clamp", "clamp_"), self._relu), (("sigmoid", "tanh"), self._sigmoid))
        for names, look in groups:
            for owner in (torch, Tensor, functional):
                functions = (getattr(owner, name, None) for name in names)
                yield from ((function, look) for function in functions if function is not None)

    def _quietly(
        self,
        look: Callable[..., None],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: object,
    ) -> None:
        if self.is_off or not self.sink.hears_this_thread() or not may_read():
            return
        given = args[0] if args else kwargs.get("input")
        if not _can_be_asked(given) or not _can_be_asked(result) or not result.requires_grad:  # type: ignore[attr-defined]  # a tensor
            return
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - a user's mode must not see us look
                look(function, given, result, kwargs, args)
        except RecursionError:
            raise  # the user's stack is used up: the recorder knows what to do
        except Exception as fault:  # noqa: BLE001 - the recorder, which calls this, goes on without it
            self.fault(fault)

    def _relu(
        self, function: Callable[..., Any], given: Tensor, result: Tensor, kwargs: dict[str, Any], args: tuple[Any, ...]
    ) -> None:
        of = self._given(result)
        if of is None or (name_of(function).startswith("clamp") and not _is_relu(args, kwargs)):
            return
        others = [dim for dim in range(result.dim()) if dim != of.dim % result.dim()]
        units = result.shape[of.dim]
        if units < _FEWEST_UNITS or result.numel() < _FEWEST_SAMPLES * units or result.shape[0] < _FEWEST_SAMPLES / 2:
            return
        is_zero = (result == 0) if given is result else (given < 0)
        dead = is_zero.all(dim=tuple(others))
        followed = self._followed(("relu", *_key(of)))
        if followed is not None and (not followed.dead or followed.dead[-1].shape == dead.shape):
            followed.dead.append(dead.to("cpu"))
            followed.samples = result.numel() // units
            since = followed.dead_since() if len(followed.dead) >= _LOOKS else None
            if since is not None and (followed.was_born_dead(since) or followed.was_shut(since)):
                self._tell_dead(of, followed, since, function)
            elif since:
                self._wants_look = True

    def _tell_dead(self, of: _Given, followed: _Followed, since: int, function: Callable[..., Any]) -> None:
        followed.is_over = True
        if "dead" in self._told:
            return
        self._told.add("dead")
        dead = torch.stack(followed.dead[since:]).all(0)
        self.sink.emit(
            UnitsDead(
                self.sink.step,
                module=of.path,
                kind=of.kind,
                function=name_of(function).rstrip("_"),
                dead=int(dead.sum()),
                units=dead.numel(),
                samples=followed.samples,
                since=followed.steps[since],
                bias=self._bias(of),
                written=self._written(of, "bias"),
                built=next((each.built for each in self._optimizers if each.has_stepped), None),
                site=self._site(of),
                used=self.sink.sites.here(),
            )
        )

    def _sigmoid(
        self, function: Callable[..., Any], given: Tensor, result: Tensor, _: dict[str, Any], __: tuple[Any, ...]
    ) -> None:
        of = self._given(result)
        if of is None or result.numel() < _FEWEST_SAMPLES * _FEWEST_UNITS or _is_of_large_data(given):
            return
        name = name_of(function)
        followed = self._followed((name, *_key(of)))
        if followed is not None:
            followed.shares.append(_saturated(result, name))
            is_saturated = len(followed.shares) == _LOOKS and min(followed.shares) >= _SATURATED
            if is_saturated and "saturated" not in self._told and self._is_hidden(of):
                self._told.add("saturated")
                self.sink.emit(
                    ActivationSaturated(
                        self.sink.step,
                        module=of.path,
                        kind=of.kind,
                        function=name,
                        share=min(followed.shares),
                        lowest=float(given.min()),
                        highest=float(given.max()),
                        site=self._site(of),
                        written=self._written(of, "weight"),
                        used=self.sink.sites.here(),
                    )
                )

    def _followed(self, key: Hashable) -> _Followed | None:
        """What is known of an activation; None where it was looked at in this step already, or often enough."""
        followed = self._seen.setdefault(key, _Followed())
        if followed.is_over or len(followed.steps) > _LOOKS or self.sink.step in followed.steps:
            return None
        followed.steps.append(self.sink.step)
        return followed

    def _given(self, result: Tensor) -> _Given | None:
        """The layer that made what an activation was given, the last operation that was recorded."""
        raw = self.sink.tracing.recorder.recorded
        place = self.sink.tracing.recorder.place_of(result)
        made = raw.values[place].operation if place is not None else None
        operation = raw.operations[made] if made is not None else None
        for _ in range(_FARTHEST):
            before = next(iter(operation.inputs), None) if operation is not None else None
            made = raw.values[before].operation if before is not None else None
            if made is None:
                return None
            operation = raw.operations[made]
            name = name_of(operation.function)
            if name in _UNITS_AT:
                return _Given(operation.module.path, operation.module.kind, _UNITS_AT[name], operation)
            if name not in _PASSING:
                return None
        return None

    def _is_hidden(self, of: _Given) -> bool:
        """Whether in the step before another layer was given what the activation made."""
        raw = self.sink.tracing.recorder.recorded_before
        reached: set[int] = set()
        for operation in raw.operations:
            if reached.intersection(operation.inputs):
                if name_of(operation.function) in _WEIGHING:
                    return True
                reached.update(operation.outputs)
            elif _key_of(operation) == _key_of(of.operation):
                reached.update(operation.outputs)
        return False

    def _written(self, of: _Given, parameter: str) -> Site | None:
        """Where its values were written, in the file that builds it."""
        site = self._site(of)
        return initialisation(site.file, of.path, parameter) if site is not None else None

    def _bias(self, of: _Given) -> float | None:
        """The mean of the layer's bias, where it is known and has one."""
        for subject in self.sink.subjects:
            model = subject.model()
            layer = dict(model.named_modules()).get(of.path) if model is not None else None
            bias = getattr(layer, "bias", None)
            if isinstance(bias, Tensor) and type(layer).__name__ == of.kind:
                return float(bias.float().mean())
        return None

    def _site(self, of: _Given) -> Site | None:
        """Where the layer was built, or else where it computes."""
        for subject in self.sink.subjects:
            model = subject.model()
            is_its = model is not None and of.path in dict(model.named_modules())
            site = definition_site(model, of.path) if model is not None and is_its and of.path else None
            if site is not None:
                return site
        code, instruction = of.operation.code, of.operation.instruction
        return self.sink.sites.at(code, instruction) if code is not None else None


def _key_of(operation: RawOperation) -> tuple[str, str, CodeType | None, int]:
    return operation.module.path, name_of(operation.function), operation.code, operation.instruction


def _key(of: _Given) -> tuple[object, ...]:
    return (*_key_of(of.operation), of.operation.module.call)


def _can_be_asked(value: object) -> bool:
    is_plain = isinstance(value, Tensor) and type(value) in (Tensor, nn.Parameter) and value.layout is torch.strided
    if not is_plain or not isinstance(value, Tensor):
        return False
    return value.dim() > 1 and not value.is_meta and not value.is_nested and 0 < value.numel() <= _MOST


def _is_relu(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    low = args[1] if len(args) > 1 else kwargs.get("min")
    high = args[2] if len(args) > 2 else kwargs.get("max")  # noqa: PLR2004 - the third argument
    return isinstance(low, int | float) and low == 0 and high is None


def _saturated(result: Tensor, name: str) -> float:
    """The share of the values at which the function is flat, where these are at both of its ends."""
    slope = 1 - result.square() if name == "tanh" else result * (1 - result)
    is_flat = slope < _FLAT
    is_high = result > (0.0 if name == "tanh" else 0.5)
    flat, high = torch.stack([is_flat.sum(), (is_flat & is_high).sum()]).tolist()
    ends = min(high, flat - high) / result.numel()
    return float(flat / result.numel()) if ends >= _EACH_END else 0.0


def _is_of_large_data(given: Tensor) -> bool:
    """Whether the layer was given data, and no other layer's output, that is far from 1."""
    node = given.grad_fn
    saved = saved_of(node) if node is not None else []
    data = [each.tensor for each in saved if not each.tensor.requires_grad and each.tensor.dim() > 1]
    return any(float(each.abs().max()) > _LARGE for each in data)
