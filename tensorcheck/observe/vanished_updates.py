"""Whether the steps of an optimizer are lost in the rounding of half-precision weights: measured in its first steps.

A weight in bfloat16 has 8 bits, so a step below a 256th of it may leave it as it was, however often it is repeated.
What is counted are weights that PyTorch's own optimizers meant to move and that stood still; others may keep exact
copies or remainders, or round at random.
"""

import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import CodeType
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Adamax, AdamW, NAdam, Optimizer, RMSprop
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tensorcheck.calls import Cause
from tensorcheck.events.event import Event
from tensorcheck.events.numeric import UpdatesVanished
from tensorcheck.observe.causes import causes_of
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.followed import Followed, FollowedOptimizers
from tensorcheck.observe.frames import user_frame
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.readable import may_read
from tensorcheck.observe.stack import standing
from tensorcheck.observe.subject import Subject

_HALVES = (torch.float16, torch.bfloat16)
_BY_RATE = (Adam, AdamW, NAdam, Adamax, RMSprop)
"""What moves each weight by about its learning rate, however small the gradient is."""
_CASTS = ("to", "half", "bfloat16", "type")
_ROUNDS = 3
_MOST_WAITED = 200
"""Steps with a learning rate of zero, or one that grows, after which an optimizer is let be."""
_SAMPLE = 2048
"""Values that are looked at of one parameter."""
_SEEN_IN_SINGLE = 2.0**-20
"""Less than this part of a weight float32 may lose as well."""


class _Before(NamedTuple):
    """Some values of a parameter before a step."""

    parameter: Tensor
    values: Tensor
    meant: Tensor
    """By about how much each should move."""


class _Measured:
    """What is known of one optimizer."""

    def __init__(self, optimizer: Optimizer | None = None) -> None:
        self.optimizer = weakref.ref(optimizer) if optimizer is not None else None
        self.rounds = 0
        self.waited = 0
        self.rate = 0.0
        self.still = self.count = 0
        self.before: list[_Before] = []

    @property
    def is_over(self) -> bool:
        """Whether it is looked at no more."""
        return self.rounds >= _ROUNDS or self.waited >= _MOST_WAITED

    def begin(self, rate: float) -> None:
        """A step with this learning rate is looked at; where it grew, as in a warm-up, counting restarts."""
        if rate > self.rate:
            self.waited += self.rounds
            self.rounds = self.still = self.count = 0
        self.rate = rate


class VanishedUpdateProbe(Probe):
    """Compares some weights before and after the first steps of each optimizer of PyTorch's own."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({UpdatesVanished})

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        super().__init__(sink)
        self._optimizers = optimizers
        self._measured: dict[int, _Measured] = {}
        self._cast: dict[int, tuple[weakref.ref[Tensor], CodeType, int]] = {}
        """The parameters that were seen to become half, and the line that did it."""

    def attach(self, handles: ExitStack) -> None:
        """Register the hooks that all optimizers share."""
        for handle in (
            register_optimizer_step_pre_hook(self._about_to_step),
            register_optimizer_step_post_hook(self._stepped),
        ):
            handles.enter_context(PATCHES.undo_in_forks(handle.remove))
        for name in _CASTS:
            handles.enter_context(PATCHES.patch_attribute(nn.Module, name, self))
        handles.callback(self._measured.clear)
        handles.callback(self._cast.clear)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A module was cast, or moved."""
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
            halves = [each for each in args[0].parameters() if each.dtype in _HALVES]
        frame = user_frame() if halves else None
        if frame is not None:
            for each in halves:
                known = self._cast.get(id(each))
                if known is None or known[0]() is not each:
                    self._cast[id(each)] = (weakref.ref(each), frame.f_code, frame.f_lasti)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Nothing was cast."""

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        self._quietly(self._look_before, optimizer)

    def _stepped(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self._measured.get(id(optimizer), _OVER).before:
            self._quietly(self._look_after, optimizer)

    def _quietly(self, look: Callable[[Optimizer, _Measured], None], optimizer: Optimizer) -> None:
        measured = self._measured.get(id(optimizer))
        if measured is None or measured.optimizer is None or measured.optimizer() is not optimizer:
            measured = self._measured[id(optimizer)] = _Measured(optimizer)
        if self.is_off or measured.is_over or not self.sink.hears_this_thread():
            return
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - a user's mode must not see us look
                look(optimizer, measured)
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)

    def _look_before(self, optimizer: Optimizer, measured: _Measured) -> None:
        groups = [group for group in optimizer.param_groups if any(map(_is_half, group["params"]))]
        if not groups or not _is_pytorchs(optimizer) or not self._optimizers.follow(optimizer).subjects:
            measured.rounds = _ROUNDS
            return
        if any(_is_warming_up(group) for group in groups) or not may_read():
            measured.waited += 1
            return
        measured.begin(max(float(group["lr"]) for group in groups))
        held = [(each, float(group["lr"])) for group in groups for each in group["params"] if _is_half(each)]
        is_by_rate = isinstance(optimizer, _BY_RATE)
        measured.before = [
            _before(each, rate, is_by_rate=is_by_rate)
            for each, rate in held
            if each.grad is not None and each.grad.layout is torch.strided and self._may_be_read(each)
        ]

    def _may_be_read(self, parameter: Tensor) -> bool:
        is_plain = type(parameter) in (Tensor, nn.Parameter) and not parameter.is_meta and parameter.numel() > 0
        return is_plain and (parameter.device.type == "cpu" or self.sink.tracing.is_open)

    def _look_after(self, optimizer: Optimizer, measured: _Measured) -> None:
        before, measured.before = measured.before, []
        for each in before:
            is_meant = each.meant > _SEEN_IN_SINGLE * each.values.float().abs()
            is_still = is_meant & (each.values == _sampled(each.parameter)) & (each.values != 0)
            measured.still += int(is_still.sum())
            measured.count += int(is_meant.sum())
        measured.rounds += 1
        if measured.rounds == _ROUNDS:
            self._tell(optimizer, measured, before)

    def _tell(self, optimizer: Optimizer, measured: _Measured, before: Sequence[_Before]) -> None:
        followed = self._optimizers.follow(optimizer)
        largest = max(before, key=lambda each: each.parameter.numel())
        for subject in followed.subjects:
            name = subject.name_of(largest.parameter)
            if name is not None:
                self.sink.emit(self._event(followed, subject, measured, largest, name), subject)

    def _event(
        self, followed: Followed, subject: Subject, measured: _Measured, largest: _Before, name: str
    ) -> UpdatesVanished:
        _, code, instruction = self._cast.get(id(largest.parameter), (None, None, 0))
        cause = _cause(subject, name) if code is None else None
        return UpdatesVanished(
            self.sink.step,
            optimizer=followed.kind,
            dtype=str(largest.parameter.dtype).removeprefix("torch."),
            name=name,
            still=measured.still,
            count=measured.count,
            size=float(largest.values.float().abs().median()),
            meant=float(largest.meant.median()),
            rate=measured.rate,
            made=cause.site
            if cause is not None
            else self.sink.sites.at(code, instruction)
            if code is not None
            else None,
            built=followed.built,
            site=self.sink.sites.here(),
        )


_OVER = _Measured()


def _is_half(tensor: Tensor) -> bool:
    return tensor.dtype in _HALVES and tensor.requires_grad


def _is_pytorchs(optimizer: Optimizer) -> bool:
    """Whether its arithmetic is known: a subclass with a `step` of its own may round as it likes."""
    own = isinstance(optimizer, (SGD, *_BY_RATE))
    return own and str(getattr(type(optimizer).step, "__module__", "")).startswith("torch.optim")


def _is_warming_up(group: dict[str, object]) -> bool:
    rate, initial = group["lr"], group.get("initial_lr")
    is_plain = isinstance(rate, int | float) or (isinstance(rate, Tensor) and rate.device.type == "cpu")
    if not is_plain:
        return True
    low = float(rate)  # type: ignore[arg-type]  # a number or a tensor of one
    return low <= 0 or (isinstance(initial, int | float) and low < 0.9 * float(initial))


def _before(parameter: Tensor, rate: float, *, is_by_rate: bool) -> _Before:
    gradient = _sampled(parameter.grad).float()  # type: ignore[arg-type]  # the caller saw that it is there
    meant = (gradient != 0) * rate if is_by_rate else gradient.abs() * rate
    return _Before(parameter, _sampled(parameter).clone(), meant.clone())


def _sampled(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1)[:: max(1, tensor.numel() // _SAMPLE)]


def _cause(subject: Subject, name: str) -> Cause | None:
    """What made the parameter's dtype, as far as the running code tells."""
    model = subject.model()
    if model is None:
        return None
    with standing() as frames:
        causes = causes_of(model.get_submodule(name.rpartition(".")[0]), model, scopes_of(frames))
        return next((cause for cause in causes if cause.quality == "dtype"), None)
