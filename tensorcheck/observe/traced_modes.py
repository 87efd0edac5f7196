"""Programs that are made of a model in training mode and saved: dropout is an operation of them, which stays on.

A script keeps the mode, and `eval()` switches it; what `torch.jit.trace` and `torch.export.export` record does not.
"""

import ast
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from tensorcheck.events.checkpoint import TrainingModeSaved
from tensorcheck.events.event import Event
from tensorcheck.observe.frames import expression_at, user_frame
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.sites import Site

_DROPOUTS = frozenset({"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"})
_TRAIN_OF_DROPOUT = 2
_RUNNING_MEAN, _TRAIN_OF_NORM = 3, 5
"""The places of the arguments of ATen's operations."""


@dataclass(frozen=True, slots=True)
class _Program:
    model: str
    dropouts: int
    norms: int
    site: Site | None


class TracedModeProbe(Probe):
    """Hears `torch.jit.trace` and `torch.export.export`, and what saves their results."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({TrainingModeSaved})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._programs: weakref.WeakKeyDictionary[Any, _Program] = weakref.WeakKeyDictionary()

    def attach(self, handles: ExitStack) -> None:
        """Patch what makes programs, and what saves them."""
        saves = _Saves(self)
        handles.enter_context(PATCHES.patch_attribute(torch.jit, "trace", self))
        handles.enter_context(PATCHES.patch_attribute(torch.jit, "save", saves))
        handles.enter_context(PATCHES.patch_attribute(torch.jit.ScriptModule, "save", saves))
        export = sys.modules.get("torch.export")  # it is not imported for this
        if export is not None:
            handles.enter_context(PATCHES.patch_attribute(export, "export", self))
            handles.enter_context(PATCHES.patch_attribute(export, "save", saves))

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """Other probes explain what raises."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """A program was made."""
        model = args[0] if args else kwargs.get("func", kwargs.get("mod"))
        if not isinstance(model, nn.Module) or not model.training or not self.sink.hears_this_thread():
            return
        counts = Counter(_trained(result))
        if counts:
            program = _Program(_spelled(), counts["dropout"], counts["norm"], self.sink.sites.here())
            self._programs[result] = program

    def saved(self, program: object) -> None:
        """A program was saved."""
        known = self._programs.pop(program, None) if program is not None else None
        if known is not None:
            self.sink.emit(
                TrainingModeSaved(
                    step=self.sink.step,
                    model=known.model,
                    dropouts=known.dropouts,
                    norms=known.norms,
                    traced=known.site,
                    site=self.sink.sites.here(),
                )
            )


def _trained(program: Any) -> Iterator[str]:  # noqa: ANN401 - a module that was traced, or an exported program
    """What its operations do in training alone, once for each."""
    for name, arguments in _operations(program):
        last = name.removesuffix("_")
        if last in _DROPOUTS and arguments[1] and arguments[_TRAIN_OF_DROPOUT] is True:
            yield "dropout"
        is_of_batch = last == "batch_norm" and arguments[_TRAIN_OF_NORM] is True
        if is_of_batch and arguments[_RUNNING_MEAN] is not None:
            yield "norm"


def _operations(program: Any) -> Iterator[tuple[str, list[object]]]:  # noqa: ANN401 - likewise
    """The names of its operations with their arguments; `_TENSOR` where that is no constant."""
    if isinstance(program, torch.jit.ScriptModule):
        for node in program.inlined_graph.nodes():
            yield node.kind().removeprefix("aten::"), [_constant(each) for each in node.inputs()]
    else:
        for node in program.graph.nodes:
            if node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload):  # noqa: SLF001 - its class
                yield node.target._opname, list(node.args)  # noqa: SLF001 - its name without the overload's


_TENSOR = "a tensor"


def _constant(value: Any) -> object:  # noqa: ANN401 - a value of TorchScript's graph
    return value.toIValue() if value.node().kind() == "prim::Constant" else _TENSOR


def _spelled() -> str:
    """The model as the running line spells it."""
    frame = user_frame()
    call = expression_at(frame.f_code, frame.f_lasti) if frame is not None else None
    return ast.unparse(call.args[0]) if isinstance(call, ast.Call) and call.args else ""


class _Saves(Listener):
    """Hears what saves a program."""

    def __init__(self, probe: TracedModeProbe) -> None:
        self._probe = probe

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """One is about to be saved."""
        self._probe.saved(args[0] if args else kwargs.get("m", kwargs.get("ep")))

    def fault(self, error: Exception) -> None:
        """Hand it to the session."""
        self._probe.fault(error)
