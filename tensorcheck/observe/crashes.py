"""An exception's traceback, read: which call failed, in which module, with which tensors, on which line of the user."""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from torch import Tensor, nn

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events import Crashed, Stage
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.calls import failed_call
from tensorcheck.observe.describe import module_meta
from tensorcheck.observe.differentiations import differentiation_of
from tensorcheck.observe.drawn import DrawnIndices
from tensorcheck.observe.frames import Owner, Sites, expression_at
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.loadings import loading_of
from tensorcheck.observe.operands import operand_of
from tensorcheck.observe.operations import Recorder
from tensorcheck.observe.optimizer_states import odd_state_of
from tensorcheck.observe.restorings import restoring_of
from tensorcheck.observe.sources import definition_site
from tensorcheck.observe.stack import StackFrame, stack_of
from tensorcheck.observe.subject import Subject
from tensorcheck.observe.trainables import trainable_of
from tensorcheck.trace import Operation, Trace

FindCut = Callable[[Sequence[object], Sites], Operation | None]


def crash_of(  # noqa: PLR0913 - what a session knows of the run, each by its name
    error: BaseException,
    stage: Stage,
    sites: Sites,
    *,
    subjects: Sequence[Subject] = (),
    find_cut: FindCut = lambda _inputs, _sites: None,
    trace: Trace | None = None,
    drawn: DrawnIndices | None = None,
    recorder: Recorder | None = None,
) -> Crashed:
    """Everything about a crash that its stack still shows, and what the trace knows, if it was traced."""
    frames = stack_of(error.__traceback__)
    last = max((index for index, frame in enumerate(frames) if frame.owner is Owner.USER), default=-1)
    user = frames[last] if last >= 0 else None
    below = frames[last + 1 :] if last >= 0 else frames
    subject = _subject(frames, subjects)
    lineages = Lineages(frames, trace)
    loss = _loss(frames, user, lineages) if user else None
    watched = [model for subject in subjects if (model := subject.model()) is not None]
    return Crashed(
        step=subject.step if subject else 0,
        stage=stage,
        error=type(error).__name__,
        message=str(error),
        call=_call(user, below, subject, lineages) if user else None,
        functions=tuple(frame.frame.f_code.co_name for frame in below),
        loss=loss,
        trace=trace,
        cut=find_cut([_loss_tensor(frames)], sites),
        modules=tuple(_modules(frames, subject, lineages)),
        calls=tuple(subject.calls) if subject else (),
        trainable=subject.trainable() if subject else 0,
        parameters=sum(1 for _ in subject.parameters()) if subject else 0,
        output_required_grad=subject.output_required_grad if subject else None,
        site=sites.at(user.frame.f_code, user.instruction) if user else None,
        loading=loading_of(error, frames, drawn),
        restoring=restoring_of(error, frames, lineages),
        differentiation=differentiation_of(frames, loss, recorder, sites),
        odd_state=odd_state_of(frames),
        trainable_models=trainable_of(frames, watched, loss.lineage if loss is not None else None),
    )


def _call(
    user: StackFrame, below: Sequence[StackFrame], subject: Subject | None, lineages: Lineages
) -> FailedCall | None:
    call = failed_call(user, below, lambda module: _meta(module, subject, lineages), lineages)
    model = subject.model() if subject is not None else None
    if call is None or call.module is None or model is None:
        return call
    return replace(call, made=lineages.of_settings(model, call.module.path))


def _subject(frames: Sequence[StackFrame], subjects: Sequence[Subject]) -> Subject | None:
    """The watched model that was running, or the only one; where none is watched, the outermost module that ran."""
    running = [frame.module for frame in frames if frame.module is not None]
    for subject in subjects:
        if any(module is subject.model() for module in running):
            return subject
    if subjects:
        return subjects[0]
    return Subject(running[0]) if running else None


def _modules(frames: Sequence[StackFrame], subject: Subject | None, lineages: Lineages) -> Iterator[ModuleMeta]:
    previous = None
    for frame in frames:
        module = frame.module
        if module is not None and module is not previous:
            yield _meta(module, subject, lineages)
            previous = module


def _meta(module: nn.Module, subject: Subject | None, lineages: Lineages) -> ModuleMeta:
    path = subject.path_of(module) if subject else None
    model = subject.model() if subject else None
    if not path or model is None:
        return module_meta(module, "")
    return module_meta(module, path, definition_site(model, path, lineages.scope))


def _loss(frames: Sequence[StackFrame], user: StackFrame, lineages: Lineages) -> Operand | None:
    """What `Tensor.backward` was called on, as the user wrote it."""
    tensor = _loss_tensor(frames)
    node = expression_at(user.frame.f_code, user.instruction)
    if not isinstance(tensor, Tensor) or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    return operand_of(ast.unparse(node.func.value), tensor, node.func.value, user, lineages)


def _loss_tensor(frames: Sequence[StackFrame]) -> object:
    called = [frame for frame in frames if frame.frame.f_code is Tensor.backward.__code__]
    return called[-1].frame.f_locals.get("self") if called else None
