"""States of another dtype than the module's: what a copy loses, and what `assign=True` makes of the module.

A half-precision file is what many models are given out as, so that alone is said of one that is trained afterwards.
"""

import ast
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tensorcheck.events.checkpoint import TrainedInAnotherDtype, ValuesLost
from tensorcheck.events.event import Event
from tensorcheck.observe.attributes import given_in_methods
from tensorcheck.observe.frames import expression_at, file_of_caller, site_of_node, user_frame
from tensorcheck.observe.optimized import parameters_of
from tensorcheck.observe.partly_loaded import own_tensors
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.readable import may_read_outside
from tensorcheck.sites import Site

_MOST = 1 << 22
"""How many numbers of a tensor are compared; larger ones are left alone."""
_LOST = 0.1
"""What share of a number has to be lost: a counter that was averaged over checkpoints has a fraction too."""
_COUNTER = "num_batches_tracked"
_ASSIGN = 3
"""The place of `assign` among the arguments of `load_state_dict`."""
_LOOKS = 8
"""Steps in which an optimizer of the model is looked for."""


@dataclass(slots=True)
class _Pending:
    """A module that may be trained yet."""

    module: weakref.ref[nn.Module]
    dtype: torch.dtype
    """What its parameters have since."""
    event: TrainedInAnotherDtype
    looks: int = 0


class LoadedDtypeProbe(Probe):
    """Hears `load_state_dict` of all modules, and the first steps that follow."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({ValuesLost, TrainedInAnotherDtype})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._before: dict[str, torch.dtype] = {}
        self._pending: list[_Pending] = []

    def attach(self, handles: ExitStack) -> None:
        """Patch the method that all modules share, and hear each step."""
        handles.enter_context(PATCHES.patch_attribute(nn.Module, "load_state_dict", self))
        handle = register_optimizer_step_pre_hook(self._about_to_step)
        handles.enter_context(PATCHES.undo_in_forks(handle.remove))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A state is about to be loaded; what is on the meta device has yet to become anything."""
        is_ours = _assigns(args, kwargs) and self.sink.hears_this_thread()
        own = own_tensors(args[0]) if is_ours else ()
        self._before = {key: tensor.dtype for key, tensor in own if not tensor.is_meta and _is_floating(tensor)}

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain what raises."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A state was loaded."""
        given = args[1] if len(args) > 1 else kwargs.get("state_dict")
        if not isinstance(given, Mapping) or not file_of_caller() or not self.sink.hears_this_thread():
            return
        with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001 - a user's mode must not see us look
            own = {key: tensor for key, tensor in own_tensors(args[0]) if isinstance(given.get(key), Tensor)}
            if _assigns(args, kwargs):
                after = {key: tensor.dtype for key, tensor in own.items()}
                self._changed(args[0], _changes(after, self._before), is_assigned=True)
                return
            differing = {key: tensor for key, tensor in own.items() if tensor.dtype != given[key].dtype}
            lost = dict(_lost(differing, given)) if differing and may_read_outside() else {}
        if lost:
            self._tell_of_lost(args[0], lost, own, given)
        elif differing and not self.sink.step:
            floating = {key: tensor.dtype for key, tensor in own.items() if _is_floating(tensor)}
            saved = {key: given[key].dtype for key in floating if given[key].is_floating_point()}
            self._changed(args[0], _changes(saved, floating), is_assigned=False)

    def _tell_of_lost(
        self,
        module: nn.Module,
        lost: Mapping[str, tuple[float, float]],
        own: Mapping[str, Tensor],
        given: Mapping[str, Tensor],
    ) -> None:
        key, (was, now) = next(iter(lost.items()))
        event = ValuesLost(
            step=self.sink.step,
            keys=tuple(lost),
            saved=_spelled(given[key].dtype),
            own=_spelled(own[key].dtype),
            was=was,
            now=now,
            made=_made(module, key),
            site=self.sink.sites.here(),
        )
        self.sink.emit(event)

    def _changed(
        self, module: nn.Module, changes: Mapping[str, tuple[torch.dtype, torch.dtype]], *, is_assigned: bool
    ) -> None:
        """Wait for a step on a module, all of which had one dtype and was given another."""
        if len(set(changes.values())) != 1:
            return
        saved, own = next(iter(changes.values()))
        event = TrainedInAnotherDtype(
            step=self.sink.step,
            target=_target(),
            saved=_spelled(saved),
            own=_spelled(own),
            count=len(changes),
            is_assigned=is_assigned,
            site=self.sink.sites.here(),
        )
        self._pending.append(_Pending(weakref.ref(module), saved if is_assigned else own, event))

    def _about_to_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        if not self._pending or self.is_off or not self.sink.hears_this_thread():
            return
        try:
            held = {id(tensor) for tensor in parameters_of(optimizer)}
            for pending in tuple(self._pending):
                pending.looks += 1
                module = pending.module()
                trained = [each for each in module.parameters() if id(each) in held] if module is not None else []
                if module is None or trained or pending.looks == _LOOKS:
                    self._pending.remove(pending)
                if trained and all(tensor.dtype == pending.dtype for tensor in trained):
                    self.sink.emit(replace(pending.event, step=self.sink.step))
        except Exception as error:  # noqa: BLE001 - a fault of ours never reaches the user
            self.fault(error)


def _assigns(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return bool(args[_ASSIGN] if len(args) > _ASSIGN else kwargs.get("assign", False))


def _is_floating(tensor: Tensor) -> bool:
    return tensor.dtype.is_floating_point


def _changes(
    saved: Mapping[str, torch.dtype], own: Mapping[str, torch.dtype]
) -> dict[str, tuple[torch.dtype, torch.dtype]]:
    """The dtypes in the state and in the module, if none of its floating-point tensors has the same in both."""
    pairs = {key: (saved[key], dtype) for key, dtype in own.items() if key in saved}
    return pairs if pairs and all(given != dtype for given, dtype in pairs.values()) else {}


def _lost(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Iterator[tuple[str, tuple[float, float]]]:
    """The tensors that lost values, each with one of them and what became of it."""
    for key, now in own.items():
        if _is_readable(given[key], now) and not key.endswith(_COUNTER):
            was, kept = given[key].detach().double(), now.detach().double()
            wrong = was.isfinite() & ~((kept - was).abs() <= was.abs() * _LOST)
            wrong = wrong & kept.isinf() if _is_floating(now) else wrong
            if wrong.any():
                place = int(wrong.reshape(-1).to(torch.uint8).argmax())
                yield key, (float(was.reshape(-1)[place]), float(kept.reshape(-1)[place]))


_WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def _is_readable(was: Tensor, now: Tensor) -> bool:
    """Whether both hold numbers at hand, and the first of them those that the second may not hold."""
    is_plain = all(each.device.type == "cpu" and each.layout == torch.strided for each in (was, now))
    is_known = _is_floating(was) and (_is_floating(now) or now.dtype in _WHOLE)
    return is_plain and is_known and was.shape == now.shape and was.numel() <= _MOST


def _made(module: nn.Module, key: str) -> Site | None:
    """Where the module that has this tensor makes it."""
    path, _, name = key.rpartition(".")
    place = next(given_in_methods(module.get_submodule(path), name, None), None)
    return site_of_node(place.node, place.scope.filename, place.scope.function) if place is not None else None


def _target() -> str:
    """The module as the running line spells it."""
    frame = user_frame()
    match expression_at(frame.f_code, frame.f_lasti) if frame is not None else None:
        case ast.Call(func=ast.Attribute(value=target)):
            return ast.unparse(target)
        case _:
            return ""


def _spelled(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
