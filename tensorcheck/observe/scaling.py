"""What is done with gradients between a scaled `backward` and the division by the scale, in the first steps.

Nothing but the scale is read, and only where gradients are on the CPU or the mistake is made already.
"""

import math
import weakref
from collections import Counter
from contextlib import ExitStack
from types import FunctionType
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.event import Event
from tensorcheck.events.numeric import ScaledUsed
from tensorcheck.observe.clipped import clipped_parameters
from tensorcheck.observe.optimized import parameters_of
from tensorcheck.observe.own_time import timed
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.sites import Site

_STEPS = 16
"""So many steps of all optimizers are followed: an order is wrong in the first or never."""
_TIMES = 2
"""A mistake is told when it is made again."""


class _Clipping(NamedTuple):
    ids: frozenset[int]
    limit: float
    site: Site | None


class ScalingProbe(Probe):
    """Follows the scaled loss from `scale` over `backward` to the step."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ScaledUsed})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.scaler: weakref.ref[GradScaler] | None = None
        self.scaled: weakref.ref[Tensor] | None = None
        """The last loss that was multiplied."""
        self.is_scaled = False
        """Whether the last `backward` was of that."""
        self.clippings: list[_Clipping] = []
        self.is_scaler_stepping = False
        self.unscaled: set[int] = set()
        """The ids of the optimizers whose gradients were divided since."""
        self._seen: Counter[str] = Counter()
        self._steps = 0
        self._patched = ExitStack()

    def attach(self, handles: ExitStack) -> None:
        """Patch the scaler, the clippings and `backward`, until the first steps are over."""
        handles.callback(self._patched.close)
        for owner, name, part in (
            (GradScaler, "scale", _Scaled(self)),
            (GradScaler, "unscale_", _Unscaled(self)),
            (GradScaler, "step", _Stepped(self)),
            (torch.autograd, "backward", self),
        ):
            self._patched.enter_context(PATCHES.patch_attribute(owner, name, part))
        for function in (clip_grad_norm_, clip_grad_value_):
            inner = getattr(function, "__wrapped__", function)  # both are decorated, and imported by name
            if isinstance(inner, FunctionType) and not inner.__code__.co_freevars:
                self._patched.enter_context(PATCHES.patch_code(inner, _Clipped(self)))
        handle = register_optimizer_step_pre_hook(timed(self._about_to_step))
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A `backward` begins: what was clipped before it is not its business."""
        root = args[0] if args else kwargs.get("tensors")
        first = root[0] if isinstance(root, tuple | list) and len(root) == 1 else root
        self.is_scaled = self.scaled is not None and first is self.scaled()
        self.clippings.clear()
        self.unscaled.clear()

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Another probe explains it."""

    def tell(self, how: Literal["clipped", "stepped", "scaled"], site: Site | None) -> None:
        """The mistake was made; the second time it is said."""
        self._seen[how] += 1
        scaler = self.scaler() if self.scaler is not None else None
        if self._seen[how] == _TIMES and scaler is not None:
            at = self.sink.sites.here() if how == "clipped" else None
            self.sink.emit(ScaledUsed(self.sink.step, how, scaler.get_scale(), site, at))

    def _about_to_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:  # noqa: ARG002
        if self._steps >= _STEPS or self.is_off or not self.sink.hears_this_thread():
            return
        try:
            self._steps += 1
            if self.is_scaled and not self.is_scaler_stepping and id(optimizer) not in self.unscaled:
                self.tell("stepped", self.sink.sites.here())
            if self._steps >= _STEPS and not self.is_scaler_stepping:
                self._patched.close()
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(fault)


class _Part(Listener):
    def __init__(self, probe: ScalingProbe) -> None:
        self.probe = probe

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self.is_off = True
        self.probe.fault(error)


class _Scaled(_Part):
    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """A loss was multiplied, maybe not for the first time."""
        given = args[1] if len(args) > 1 else kwargs.get("outputs")
        if not isinstance(result, Tensor) or not args[0].is_enabled():
            return
        self.probe.scaler = weakref.ref(args[0])
        if self.probe.scaled is not None and given is self.probe.scaled():
            self.probe.tell("scaled", self.probe.sink.sites.here())
        self.probe.scaled = weakref.ref(result)


class _Unscaled(_Part):
    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """Gradients were divided by the scale."""
        self.probe.unscaled.add(id(args[1] if len(args) > 1 else kwargs.get("optimizer")))


class _Stepped(_Part):
    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A scaler is about to divide the gradients of an optimizer, if that was not done, and to step."""
        optimizer = args[1] if len(args) > 1 else kwargs.get("optimizer")
        self.probe.is_scaler_stepping = True
        if not isinstance(optimizer, Optimizer) or id(optimizer) in self.probe.unscaled or not self.probe.is_scaled:
            return
        held = {id(each) for each in parameters_of(optimizer)}
        scale = args[0].get_scale() if self.probe.clippings else 1.0
        for clipping in self.probe.clippings:
            if clipping.ids & held and clipping.limit**2 < scale:
                self.probe.tell("clipped", clipping.site)
                break

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """It has."""
        self.probe.is_scaler_stepping = False

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """It has not."""
        self.probe.is_scaler_stepping = False


class _Clipped(_Part):
    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Gradients are about to be clipped."""
        limit = args[1] if len(args) > 1 else kwargs.get("max_norm", kwargs.get("clip_value"))
        given = args[0] if args else kwargs.get("parameters")
        if self.probe.is_scaled and isinstance(limit, int | float) and math.isfinite(limit):
            ids = frozenset(id(each) for each in clipped_parameters(given) or ())
            self.probe.clippings.append(_Clipping(ids, float(limit), self.probe.sink.sites.here()))
