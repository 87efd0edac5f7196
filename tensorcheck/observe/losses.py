"""Losses: the functions of `torch.nn.functional` that take an input and a target."""

from contextlib import ExitStack
from types import FunctionType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._guards import TracingContext
from torch.nn import functional

from tensorcheck.events import Event, LossComputed, Stage
from tensorcheck.observe.describe import Signature, signature, tensor_meta, tensors_in
from tensorcheck.observe.frames import spelled_sites, user_frame
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink

LOSSES = (
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
)
OTHER_LOSSES = (
    "cosine_embedding_loss",
    "ctc_loss",
    "margin_ranking_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
)
"""Those that compare other things than an input and a target; they are known when they raise."""


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
        if isinstance(given, Tensor) and isinstance(target, Tensor) and isinstance(result, Tensor):
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a dtype
                self._computed(given, target, result, reduction=str(kwargs.get("reduction", "mean")))

    def _leave(self) -> None:
        self._depth -= 1
        if self.sink.tracing.is_open:
            self.sink.tracing.resume()

    def _computed(self, given: Tensor, target: Tensor, output: Tensor, *, reduction: str) -> None:
        look = (signature(given), signature(target), given.shape == target.shape, output.dim())
        if look in self._clean or TracingContext.try_get() is not None:
            return
        frame = user_frame()
        key = (self._function, look, (id(frame.f_code), frame.f_lasti) if frame else None)
        if self.sink.is_known(key):
            return
        event = LossComputed(
            step=self.sink.step,
            function=self._function,
            input=tensor_meta(given),
            target=tensor_meta(target),
            output=tensor_meta(output),
            reduction=reduction,
            site=self.sink.sites.here(),
            sites=spelled_sites(frame.f_code, frame.f_lasti, ("input", "target")) if frame else {},
        )
        if not self.sink.emit(event, signature=key):
            self._clean.add(look)


def _argument(name: str, position: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    return args[position] if position < len(args) else kwargs.get(name)
