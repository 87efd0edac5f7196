"""The call of the outermost module that was running, and the loss that follows it."""

import dis
from collections.abc import Sequence
from contextlib import nullcontext
from inspect import CO_VARARGS, CO_VARKEYWORDS

from torch import nn

from tensorcheck.calls import FailedCall
from tensorcheck.experiment.afterwards import Afterwards, afterwards_of
from tensorcheck.experiment.copies import Copier, Place, Samples
from tensorcheck.experiment.editing import Editing, position
from tensorcheck.experiment.edits import (
    Arguments,
    CannotEditError,
    built_together,
    changed_at,
    operand_edits,
    put_in_place,
    rebuilt,
    setting_edits,
    source_edits,
)
from tensorcheck.experiment.scene import NoSceneError, Scene, Where, made_on
from tensorcheck.fixes import Edit
from tensorcheck.observe.describe import leaves, tensor_meta
from tensorcheck.observe.evaluating import UnknownValueError
from tensorcheck.observe.frames import Owner, frames_of
from tensorcheck.observe.stack import StackFrame

_NOT_INITIALISED = "the model was not initialised"
_ARGUMENTS_GONE = "what the model was called with is not known any more"


class ModelScene(Scene):
    """The outermost module's call, and the loss that follows."""

    def __init__(self, frames: Sequence[StackFrame], first: int, last: int, call: FailedCall) -> None:
        model = frames[first].module
        if model is None or "_modules" not in vars(model):
            raise NoSceneError(_NOT_INITIALISED)
        self.model = model
        self._call = call
        self._given = given_to(frames, first)
        self.samples = Samples.of(self._given)
        self._layer = next((frame.layer for frame in reversed(frames[last + 1 :]) if frame.layer is not None), None)
        self._user = frames[last]
        self._position = position(self._user) if last >= first else None
        self.where = _where(frames[first:], model)
        callers = [frame for frame in frames[:first] if frame.owner is Owner.USER]
        self._afterwards: Afterwards | None = afterwards_of(callers[-1] if callers else None)
        self._copy: nn.Module | None = None

    def play(self, copier: Copier, edits: Sequence[Edit], place: Place) -> str:
        """The whole forward, and the loss where the user's next lines have one."""
        model = copier.model(self.model) if self.model is not None else nn.Identity()
        args, kwargs = copier.inputs(self._given)
        for edit in source_edits(edits):
            args, kwargs = changed_at((args, kwargs), self._way_to(edit.operand), edit)
        editing = Editing(self._call, edits, self._position, self._user)
        editing.was_applied = bool(source_edits(edits))
        if self._call.kind == "layer" and edits:
            model = self._edit_layer(model, editing)
        self._copy = model
        with made_on(place), editing if edits and self._call.kind != "layer" else nullcontext():
            output = model(*args, **kwargs)
        if edits and not editing.was_applied:
            raise CannotEditError
        return self._finish(output, copier, place)

    def _way_to(self, operand: str) -> str:
        """Where the model's inputs hold an operand: the only one that looks just like it."""
        wanted = self._call.operand(operand)
        ways = [
            way
            for way, tensor in leaves(list(self._given), "given")
            if wanted is not None and tensor_meta(tensor) == wanted.meta
        ]
        if len(ways) != 1:
            raise CannotEditError(operand)
        return ways[0]

    def where_of(self, error: BaseException) -> Where:
        """From the copied model on."""
        frames = [StackFrame(*each) for each in frames_of(error.__traceback__)]
        first = next((index for index, frame in enumerate(frames) if frame.module is self._copy), len(frames))
        return _where(frames[first:], self._copy) if self._copy is not None else ()

    def _edit_layer(self, model: nn.Module, editing: Editing) -> nn.Module:
        paths = {id(module): path for path, module in self.model.named_modules()} if self.model is not None else {}
        path = paths.get(id(self._layer))
        if path is None:
            raise CannotEditError
        layer = model.get_submodule(path)
        for other in built_together(model, path) if setting_edits(editing.edits) else ():
            new = rebuilt(other, editing.edits)
            model, layer = put_in_place(model, other, new), new if other is layer else layer
            editing.was_applied = True
        if operand_edits(editing.edits):
            layer.register_forward_pre_hook(editing.before_layer, with_kwargs=True)
        return model

    def _finish(self, output: object, copier: Copier, place: Place) -> str:
        if self._afterwards is not None:
            try:
                with made_on(place):
                    self._afterwards.run(output, copier)
            except UnknownValueError:
                pass
            else:
                return "the forward and the loss pass"
        return "the call passes" if self._layer is self.model else "the forward passes"


def given_to(frames: Sequence[StackFrame], first: int) -> Arguments:
    """What a module was called with; the frame of its `forward` may use the names for other things by now."""
    caller = frames[first - 1].frame if first else None
    if caller is not None and caller.f_code.co_name in ("_call_impl", "inner") and "args" in caller.f_locals:
        return tuple(caller.f_locals["args"]), dict(caller.f_locals["kwargs"])
    frame = frames[first]
    code, names = frame.frame.f_code, frame.parameters[1:]
    stored = {step.argval for step in dis.get_instructions(code) if step.opname.startswith("STORE_FAST")}
    variadic = code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    if variadic or stored & {*names}:
        raise NoSceneError(_ARGUMENTS_GONE)
    return (), {name: frame.frame.f_locals[name] for name in names}


def _where(frames: Sequence[StackFrame], model: nn.Module) -> Where:
    paths = {id(module): path for path, module in model.named_modules()}
    modules = [paths.get(id(frame.module)) for frame in frames if frame.module is not None]
    return tuple(modules), tuple(position(frame) for frame in frames if frame.owner is Owner.USER)
