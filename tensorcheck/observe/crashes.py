"""An exception's traceback, read: which call failed, in which module, with which tensors, on which line of the user."""

import ast
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from torch import Tensor, nn

from tensorcheck.calls import Cause, FailedCall, Operand
from tensorcheck.differentiation import Differentiation
from tensorcheck.events.crash import Crashed, Fault, Stage
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.calls import failed_call
from tensorcheck.observe.causes import causes_of, set_defaults
from tensorcheck.observe.describe import is_a, module_meta
from tensorcheck.observe.differentiations import differentiation_of
from tensorcheck.observe.frames import Owner, Sites, expression_at
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.loadings import loading_of
from tensorcheck.observe.operands import operand_of
from tensorcheck.observe.optimizer_states import odd_state_of
from tensorcheck.observe.restorings import restoring_of, saved_beside
from tensorcheck.observe.run_so_far import RunSoFar
from tensorcheck.observe.schedule_ends import schedule_end_of
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.stack import StackFrame, standing
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.trainables import trainable_of
from tensorcheck.observe.unregistered import hidden
from tensorcheck.sites import Site

T = TypeVar("T")


def crash_of(error: BaseException, stage: Stage, sites: Sites, run: RunSoFar | None = None) -> Crashed:
    """Everything about a crash that its stack still shows, and what the trace knows, if it was traced."""
    with standing(error.__traceback__) as frames:
        return _Reader(error, frames, sites, run or RunSoFar()).crash(stage)


class _Reader:
    """Reads one stack, part by part: what is odd in one of them does not hide the others."""

    def __init__(self, error: BaseException, frames: Sequence[StackFrame], sites: Sites, run: RunSoFar) -> None:
        last = max((index for index, frame in enumerate(frames) if frame.owner is Owner.USER), default=-1)
        self._error = error
        self._frames = frames
        self._user = frames[last] if last >= 0 else None
        self._below = frames[last + 1 :] if last >= 0 else frames
        self._sites = sites
        self._run = run
        self._faults: list[Fault] = []
        self._subject = self._read("the model", lambda: _subject(frames, run.subjects), None)
        self._lineages = Lineages(frames, run.trace, self._faults.append)
        self._modules = _Modules(self._subject, self._lineages, run)

    def crash(self, stage: Stage) -> Crashed:
        """The whole."""
        frames, user, run, subject, lineages = self._frames, self._user, self._run, self._subject, self._lineages
        loss = self._read("the loss", lambda: _loss(frames, user, lineages), None)
        lineage = loss.lineage if loss is not None else None
        watched = [model for each in run.subjects if (model := each.model()) is not None]
        crash = Crashed(
            step=subject.step if subject else 0,
            stage=stage,
            error=type(self._error).__name__,
            message=self._read("the message", lambda: str(self._error), ""),
            call=self._call(),
            functions=tuple(frame.frame.f_code.co_name for frame in self._below),
            loss=loss,
            trace=run.trace,
            cut=self._read("the cut", lambda: run.find_cut([_loss_tensor(frames)], self._sites), None),
            modules=self._read("the modules", lambda: tuple(self._modules.running(frames)), ()),
            calls=tuple(subject.calls) if subject and subject.is_call_traced else (),
            trainable=subject.trainable() if subject else 0,
            parameters=sum(1 for _ in subject.parameters()) if subject else 0,
            output_required_grad=subject.output_required_grad if subject else None,
            site=self._sites.at(user.frame.f_code, user.instruction) if user else None,
            loading=self._read("the samples", lambda: loading_of(self._error, frames, run.drawn), None),
            restoring=self._read("the state", lambda: restoring_of(self._error, frames, lineages), None),
            saved=self._read("the file", lambda: saved_beside(frames), None),
            differentiation=self._read("the graph", lambda: self._differentiation(loss), None),
            schedule_end=self._read("the schedule", lambda: schedule_end_of(frames, lineages), None),
            odd_state=self._read("the optimizer", lambda: odd_state_of(frames), None),
            trainable_models=self._read("the parameters", lambda: trainable_of(frames, watched, lineage), None),
        )
        return replace(crash, faults=tuple(self._faults))

    def _call(self) -> FailedCall | None:
        user, below = self._user, self._below
        call = self._read("the failed call", lambda: _call(user, below, self._modules), None)
        return None if call is None else replace(call, causes=self._read("the weights", lambda: self._causes(call), ()))

    def _causes(self, call: FailedCall) -> tuple[Cause, ...]:
        layer = next((frame.layer for frame in reversed(self._below) if frame.layer is not None), None)
        model = self._subject.model() if self._subject is not None else None
        scopes = self._lineages.scopes
        return tuple(set_defaults(scopes) if call.module is None or layer is None else causes_of(layer, model, scopes))

    def _differentiation(self, loss: Operand | None) -> Differentiation | None:
        return differentiation_of(self._frames, loss, self._run.recorder, self._sites)

    def _read(self, part: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except RecursionError:  # the user's stack is used up: the whole is read again further out
            raise
        except Exception:  # noqa: BLE001 - the explanation goes on without this part, and says so
            self._faults.append(Fault(f"reading {part} of a crash", traceback.format_exc()))
            return otherwise


def _call(user: StackFrame | None, below: Sequence[StackFrame], modules: "_Modules") -> FailedCall | None:
    if user is None:
        return None
    call = failed_call(user, below, modules.meta, modules.lineages)
    if call is None or call.module is None:
        return call
    layer = [frame.layer for frame in below if frame.layer is not None][-1]
    if layer is None or modules.subject is None:
        return call
    before, born = _before(layer, below), modules.run.born(layer)
    return replace(
        call,
        made=modules.lineages.of_settings(*_known_to(layer, modules.subject), born),
        chosen=modules.lineages.choice_of(type(layer), born),
        before=modules.meta(before) if before is not None else None,
    )


def _before(layer: nn.Module, below: Sequence[StackFrame]) -> nn.Module | None:
    """The module before a layer in the `nn.Sequential` that was running it."""
    around = [frame.module for frame in below if frame.module is not None and frame.module is not layer]
    parts = list(around[-1]) if around and isinstance(around[-1], nn.Sequential) else []
    place = next((index for index, part in enumerate(parts) if part is layer), 0)
    return parts[place - 1] if place else None


def _known_to(layer: nn.Module, subject: Subject) -> tuple[nn.Module, str]:
    """What a layer is a part of, and its dotted path there; of one in a plain list, the list's element."""
    model, path = subject.model(), subject.path_of(layer)
    if model is not None and path is not None:
        return model, path
    found = hidden(model, layer) if model is not None else None
    return (found.element, found.inner) if found is not None else (layer, "")


def _subject(frames: Sequence[StackFrame], subjects: Sequence[Subject]) -> Subject | None:
    """The watched model that was running, or the only one; where none is watched, the outermost module that ran."""
    running = [frame.module for frame in frames if frame.module is not None]
    for subject in subjects:
        if any(module is subject.model() for module in running):
            return subject
    if subjects:
        return subjects[0]
    running = running or [owner for frame in frames if (owner := _owner(frame)) is not None]
    return Subject(_whole(frames, running[0])) if running else None


def _owner(frame: StackFrame) -> nn.Module | None:
    """The module whose method of PyTorch's own a frame is: `apply`, `to`."""
    owner = frame.local("self") if frame.owner is Owner.TORCH else None
    return cast("nn.Module", owner) if is_a(owner, nn.Module) and "_modules" in vars(owner) else None


def _whole(frames: Sequence[StackFrame], running: nn.Module) -> nn.Module:
    """The module that a method of the user's belongs to which called a part of it: `self.features(probe)`."""
    for frame in frames:
        code = frame.frame.f_code
        owner = frame.local(code.co_varnames[0]) if frame.owner is Owner.USER and code.co_argcount else None
        if is_a(owner, nn.Module) and any(part is running for part in cast("nn.Module", owner).modules()):
            return cast("nn.Module", owner)
    return running


@dataclass(frozen=True, slots=True)
class _Modules:
    """Describes modules, with their place in the watched model and the line that built them."""

    subject: Subject | None
    lineages: Lineages
    run: RunSoFar

    def running(self, frames: Sequence[StackFrame]) -> Iterator[ModuleMeta]:
        """The modules whose `forward` these frames are, each once."""
        previous = None
        for frame in frames:
            module = frame.module
            if module is not None and module is not previous:
                yield self.meta(module)
                previous = module

    def meta(self, module: nn.Module) -> ModuleMeta:
        """One of them."""
        read = _meta(module, self.subject, self.lineages)
        return replace(read, definition=_closer(read.definition, self.run.built(module)))


def _closer(read: Site | None, heard: Site | None) -> Site | None:
    """Where a module was built: the statement that the source shows, unless the call was heard on another line."""
    if read is None or heard is None:
        return read or heard
    return read if (read.file, read.line) == (heard.file, heard.line) else heard


def _meta(module: nn.Module, subject: Subject | None, lineages: Lineages) -> ModuleMeta:
    path = subject.path_of(module) if subject else None
    model = subject.model() if subject else None
    if path is not None and model is not None:
        return module_meta(module, path, definition_site(model, path, lineages.scope))
    found = hidden(model, module) if model is not None else None
    if found is None:
        return module_meta(module, "")
    site = definition_site(found.element, found.inner, lineages.scope) if found.inner else found.site(lineages.scope)
    is_spelled = site is not None and (found.inner or f"{type(module).__name__}(" in site.code)
    return module_meta(module, found.path, site if is_spelled else None)


def _loss(frames: Sequence[StackFrame], user: StackFrame | None, lineages: Lineages) -> Operand | None:
    """What `Tensor.backward` was called on, as the user wrote it."""
    tensor = _loss_tensor(frames)
    node = expression_at(user.frame.f_code, user.instruction) if user is not None else None
    if (
        user is None
        or not isinstance(tensor, Tensor)
        or not isinstance(node, ast.Call)
        or not isinstance(node.func, ast.Attribute)
    ):
        return None
    return operand_of(ast.unparse(node.func.value), tensor, node.func.value, user, lineages)


def _loss_tensor(frames: Sequence[StackFrame]) -> object:
    called = [frame for frame in frames if frame.frame.f_code is Tensor.backward.__code__]
    return called[-1].frame.f_locals.get("self") if called else None
