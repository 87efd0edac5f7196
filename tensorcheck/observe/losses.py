"""Losses: the functions of `torch.nn.functional` that take an input and a target."""

import ast
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import FrameType, FunctionType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._guards import TracingContext
from torch.nn import functional

from tensorcheck.calls import Operand
from tensorcheck.contracts import target_form
from tensorcheck.events.backward import Fed, LossComputed
from tensorcheck.events.crash import Stage
from tensorcheck.events.event import Event
from tensorcheck.lineage import Lineage
from tensorcheck.observe.describe import Signature, signature, tensor_meta, tensors_in
from tensorcheck.observe.evaluations import evaluated_beside
from tensorcheck.observe.feeding import fed
from tensorcheck.observe.frames import expression_at, site_of_node, spelled_arguments, user_frame
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.readable import may_read
from tensorcheck.observe.stack import standing
from tensorcheck.observe.target_values import target_values
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


class LossProbe(Probe):
    """Hears one of the losses; the modules of `torch.nn` call the same functions."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({LossComputed})
    stage: ClassVar[Stage] = "loss"

    def __init__(self, sink: Sink, function: str) -> None:
        super().__init__(sink)
        self._function = function
        self._depth = 0
        self._clean: set[Signature] = set()
        """What nothing was found in, on whichever line; the others are told apart by their line."""

    def attach(self, handles: ExitStack) -> None:
        """Patch the function in place: it is often imported by name."""
        function: FunctionType = getattr(functional, self._function)
        handles.enter_context(PATCHES.patch_code(function, self))

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """The loss is called, by the user or by a `__torch_function__` that was handed it.

        It counts as one operation, and is called as without a trace, so that its warnings point to the user's line.
        """
        self._depth += 1
        if self.sink.tracing.is_open:
            self.sink.tracing.suspend()

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """The loss raised."""
        self._leave()
        super().raised(args, kwargs, error)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """The loss returned."""
        self._leave()
        if self._depth or not self.sink.hears_this_thread():
            return
        if self.sink.tracing.is_open:
            self.sink.tracing.record_call(getattr(functional, self._function), (args, kwargs), list(tensors_in(result)))
        given, target = _argument("input", 0, args, kwargs), _argument("target", 1, args, kwargs)
        if self.sink.passes.beside is not None and kwargs.get("reduction") != "none":
            evaluated_beside(self.sink)
        if isinstance(given, Tensor) and isinstance(target, Tensor) and isinstance(result, Tensor):
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
                self._computed(given, target, result, args, kwargs)

    def _leave(self) -> None:
        self._depth -= 1
        if self.sink.tracing.is_open:
            self.sink.tracing.resume()

    def _computed(
        self, given: Tensor, target: Tensor, output: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        look = (signature(given), signature(target), given.shape == target.shape, output.dim(), type(given.grad_fn))
        if look in self._clean or TracingContext.try_get() is not None:
            return
        frame = user_frame()
        key = (self._function, look, (id(frame.f_code), frame.f_lasti) if frame else None)
        if self.sink.is_known(key):
            return
        is_unequal = given.shape != target.shape and target_form(self._function) == "like the input"
        operands = _operands({"input": given, "target": target}, frame, is_unequal=is_unequal)
        source = fed(given, self.sink)
        event = LossComputed(
            step=self.sink.step,
            function=self._function,
            input=operands["input"],
            target=operands["target"],
            output=tensor_meta(output),
            reduction=str(kwargs.get("reduction", "mean")),
            site=self.sink.sites.here(),
            fed=source,
            least_target=self._read(target.detach().amin) if _is_never_negative(source) else None,
            first_value=self._read(output.detach().mean) if self.sink.step == 0 and source is not None else None,
            target_values=target_values(self._function, args, kwargs, given, target),
        )
        if not self.sink.emit(event, signature=key):
            self._clean.add(look)

    def _read(self, reduce: Callable[[], Tensor]) -> float | None:
        """A number, where reading it makes nobody wait for a device, or the step is traced anyway."""
        if not may_read():
            return None
        number = reduce()
        is_real = type(number) is Tensor and number.device.type != "meta"
        may_wait = number.device.type == "cpu" or self.sink.tracing.is_open
        return float(number) if is_real and may_wait and number.dtype.is_floating_point else None


def _is_never_negative(source: Fed | None) -> bool:
    return source is not None and source.by == "relu"


def _operands(tensors: Mapping[str, Tensor], frame: FrameType | None, *, is_unequal: bool) -> dict[str, Operand]:
    """A loss's operands as the user's line spells them; where they should be alike and are not, with their lineage."""
    metas = {name: tensor_meta(tensor) for name, tensor in tensors.items()}
    node = expression_at(frame.f_code, frame.f_lasti) if frame is not None else None
    spelled = spelled_arguments(node, tuple(tensors)) if frame is not None else {}
    found = _lineages(spelled, metas) if is_unequal else {}
    return {
        name: Operand(name, meta, _site(spelled.get(name), frame), found.get(name, Lineage()))
        for name, meta in metas.items()
    }


def _lineages(spelled: Mapping[str, ast.expr], metas: Mapping[str, TensorMeta]) -> dict[str, Lineage]:
    with standing() as frames:
        lineages = Lineages(frames)
        return {name: lineages.of(spelled.get(name), meta) for name, meta in metas.items()}


def _site(node: ast.expr | None, frame: FrameType | None) -> Site | None:
    return (
        None
        if node is None or frame is None
        else site_of_node(node, frame.f_code.co_filename, frame.f_code.co_qualname)
    )


def _argument(name: str, position: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    return args[position] if position < len(args) else kwargs.get(name)
