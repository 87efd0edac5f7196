"""An exception's traceback, read: which call failed, in which module, with which tensors, on which line of the user."""

import ast
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

from torch import Tensor, nn

from tensorcheck.events import Crashed, FailedCall, Stage
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.describe import module_meta, named_tensors, tensor_meta
from tensorcheck.observe.frames import Owner, Sites, expression_at, frames_of, owner_of, spelled_arguments
from tensorcheck.observe.losses import LOSSES
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor
from tensorcheck.trace import Operation


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame of the stack at the moment of the exception; none is kept once the event is made."""

    frame: FrameType
    instruction: int

    @property
    def owner(self) -> Owner:
        return owner_of(self.frame.f_code.co_filename)

    @property
    def module(self) -> nn.Module | None:
        """The module whose `forward` this is."""
        code = self.frame.f_code
        if code.co_name != "forward" or not code.co_argcount:
            return None
        first = self.frame.f_locals.get(code.co_varnames[0])
        return first if isinstance(first, nn.Module) else None

    @property
    def layer(self) -> nn.Module | None:
        """The module, if it is a layer of `torch.nn` and no container of the user's modules."""
        module = self.module
        return module if self.owner is Owner.TORCH and not isinstance(module, _CONTAINERS) else None

    @property
    def loss(self) -> str | None:
        """The name of the loss function that this is."""
        name = self.frame.f_code.co_name
        is_functional = self.frame.f_globals.get("__name__") == "torch.nn.functional"
        return name if is_functional and name in LOSSES else None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters."""
        code = self.frame.f_code
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


FindCut = Callable[[Sequence[object], Sites], Operation | None]


def crash_of(
    error: BaseException,
    stage: Stage,
    sites: Sites,
    *,
    subjects: Sequence[Subject] = (),
    find_cut: FindCut = lambda _inputs, _sites: None,
) -> Crashed:
    """Everything about a crash that its stack still shows, and where its loss lost its gradient, if that was traced."""
    frames = [*_running(), *(_Frame(frame, instruction) for frame, instruction in frames_of(error.__traceback__))]
    frames = [frame for frame in frames if frame.owner is not Owner.OURS]
    last = max((index for index, frame in enumerate(frames) if frame.owner is Owner.USER), default=-1)
    subject = _subject(frames, subjects)
    return Crashed(
        step=subject.step if subject else 0,
        stage=stage,
        error=type(error).__name__,
        message=str(error),
        call=_failed_call(frames[last], frames[last + 1 :], subject) if last >= 0 else None,
        loss=_loss(frames, frames[last]) if last >= 0 else None,
        cut=find_cut([_loss_tensor(frames)], sites),
        modules=tuple(_modules(frames, subject)),
        calls=tuple(subject.calls) if subject else (),
        trainable=subject.trainable() if subject else 0,
        parameters=sum(1 for _ in subject.parameters()) if subject else 0,
        output_required_grad=subject.output_required_grad if subject else None,
        site=sites.at(frames[last].frame.f_code, frames[last].instruction) if last >= 0 else None,
    )


def _running() -> list[_Frame]:
    """The stack above the place where the exception was caught, outermost first."""
    frames = []
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without formatting them
    while frame is not None:
        frames.append(_Frame(frame, frame.f_lasti))
        frame = frame.f_back
    return frames[::-1]


def _subject(frames: Sequence[_Frame], subjects: Sequence[Subject]) -> Subject | None:
    """The watched model that was running, or the only one; where none is watched, the outermost module that ran."""
    running = [frame.module for frame in frames if frame.module is not None]
    for subject in subjects:
        if any(module is subject.model() for module in running):
            return subject
    if subjects:
        return subjects[0]
    return Subject(running[0]) if running else None


def _modules(frames: Sequence[_Frame], subject: Subject | None) -> Iterator[ModuleMeta]:
    previous = None
    for frame in frames:
        module = frame.module
        if module is not None and module is not previous:
            yield _meta(module, subject)
            previous = module


def _meta(module: nn.Module, subject: Subject | None) -> ModuleMeta:
    path = subject.path_of(module) if subject else None
    if subject is None or path is None:
        return module_meta(module, "")
    return module_meta(module, path, subject.definition_of(path))


def _failed_call(user: _Frame, below: Sequence[_Frame], subject: Subject | None) -> FailedCall | None:
    """The innermost layer or loss below the user's own line."""
    calls = [frame for frame in below if frame.layer is not None or frame.loss]
    if not calls:
        return None
    failed, direct = calls[-1], calls[0]
    is_direct = failed is direct or (failed.loss is not None and type(direct.layer).__name__.endswith("Loss"))
    sites = _argument_sites(user, direct) if is_direct else {}
    if failed.loss:
        return FailedCall(failed.loss, tuple(_arguments(failed)), sites)
    layer = failed.layer
    kind = type(layer).__name__
    return FailedCall(kind, tuple(_arguments(failed)), sites, _meta(layer, subject) if layer is not None else None)


def _arguments(call: _Frame) -> Iterator[NamedTensor]:
    values = call.frame.f_locals
    for name in call.parameters:
        yield from named_tensors(values.get(name), name)


def _argument_sites(user: _Frame, call: _Frame) -> dict[str, Site]:
    names = call.parameters[1:] if call.layer is not None else call.parameters
    return spelled_arguments(user.frame.f_code, user.instruction, names)


def _loss(frames: Sequence[_Frame], user: _Frame) -> NamedTensor | None:
    """What `Tensor.backward` was called on, as the user wrote it."""
    tensor = _loss_tensor(frames)
    node = expression_at(user.frame.f_code, user.instruction)
    if not isinstance(tensor, Tensor) or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    return NamedTensor(ast.unparse(node.func.value), tensor_meta(tensor))


def _loss_tensor(frames: Sequence[_Frame]) -> object:
    called = [frame for frame in frames if frame.frame.f_code is Tensor.backward.__code__]
    return called[-1].frame.f_locals.get("self") if called else None
