"""One call outside of any module: of a loss, or the function, method or operator in the user's own line."""

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional

from tensorcheck.calls import FailedCall
from tensorcheck.experiment.copies import Copier, Place
from tensorcheck.experiment.copying_evaluation import CopyingEvaluation
from tensorcheck.experiment.editing import in_place, positions
from tensorcheck.experiment.edits import Arguments, at_the_call, named, operand_edits, with_operands, with_settings
from tensorcheck.experiment.scene import NoSceneError, Scene, made_on
from tensorcheck.fixes import Edit
from tensorcheck.observe.calls import assigned_to
from tensorcheck.observe.evaluating import UnknownValueError, namespace_of
from tensorcheck.observe.frames import expression_at
from tensorcheck.observe.stack import StackFrame

_UNKNOWN_LOSS = "the loss that failed is not known"
_NO_SOURCE = "the source of the line that failed is not known"
_OTHER_CODE = "to make the call again would run other code too"


class LossScene(Scene):
    """A loss outside of any module, called with what its frame still holds."""

    def __init__(self, below: Sequence[StackFrame], call: FailedCall) -> None:
        frame = next((frame for frame in reversed(below) if frame.loss), None)
        if frame is None:
            raise NoSceneError(_UNKNOWN_LOSS)
        self._function: Callable[..., Any] = getattr(functional, call.function)
        self._values = {name: frame.frame.f_locals[name] for name in frame.parameters}

    def play(self, copier: Copier, edits: Sequence[Edit], place: Place) -> str:
        """The call."""
        edits = at_the_call(edits)
        arguments: Arguments = (), copier.inputs(self._values)
        args, kwargs = with_operands(with_settings(arguments, edits, ()), edits, named(arguments, ()), ())
        with made_on(place):
            self._function(*args, **kwargs)
        return "the loss passes"


class OperationScene(Scene):
    """The function, method or operator of the user's line, outside of any module, if PyTorch itself has it."""

    def __init__(self, user: StackFrame, call: FailedCall) -> None:
        node = expression_at(user.frame.f_code, user.instruction)
        if node is None:
            raise NoSceneError(_NO_SOURCE)
        self._node = node
        self._call = call
        self._names = namespace_of(user.frame)
        self._file = user.frame.f_code.co_filename

    def play(self, copier: Copier, edits: Sequence[Edit], place: Place) -> str:
        """The call; a `NoSceneError` where it is the user's own function that would be called."""
        edits = at_the_call(edits)
        with made_on(place):
            try:
                function, arguments, names = self.taken_apart(CopyingEvaluation(self._names, copier))
            except UnknownValueError:
                raise NoSceneError(_OTHER_CODE) from None
            known = {edit.operand: self._operand(edit.operand, arguments) for edit in operand_edits(edits)}
            operands = {name: tensor for name, tensor in known.items() if tensor is not None}
            args, kwargs = with_operands(with_settings(arguments, edits, names), edits, operands, ())
            function(*args, **kwargs)
        return "the call passes"

    def _operand(self, code: str, arguments: Arguments) -> Tensor | None:
        assigned = assigned_to(self._node, self._file)
        if assigned is not None and ast.unparse(assigned) == code:
            return next((each for each in arguments[0][2:] if isinstance(each, Tensor)), None)
        return in_place(self._node, code, arguments)

    def taken_apart(self, evaluation: CopyingEvaluation) -> tuple[Callable[..., Any], Arguments, list[str]]:
        """What is called, with what, and the names that its positional arguments go by."""
        match self._node:
            case ast.Call():
                return self._called(self._node, evaluation)
            case ast.BinOp(left=left, right=right):
                parts: tuple[object, ...] = evaluation.value(left), evaluation.value(right)
            case ast.AugAssign(target=target, value=value):
                parts = evaluation.value(target), evaluation.value(value)
                return _operator(f"i{self._call.function}"), (parts, {}), ["0", "1"]
            case ast.Compare(left=left, ops=[_], comparators=[other]):
                parts = evaluation.value(left), evaluation.value(other)
            case ast.Subscript(value=value, slice=index, ctx=ast.Load()):
                parts = evaluation.value(value), evaluation.index(index)
            case ast.Subscript(value=value, slice=index, ctx=ast.Store()):
                parts = evaluation.value(value), evaluation.index(index), self._assigned(evaluation)
            case ast.UnaryOp(operand=operand):
                parts = (evaluation.value(operand),)
            case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
                return bool, ((evaluation.value(self._node),), {}), ["0"]
            case _:
                raise UnknownValueError
        return _operator(self._call.function), (parts, {}), positions(self._node, is_method=False)

    def _assigned(self, evaluation: CopyingEvaluation) -> object:
        node = assigned_to(self._node, self._file)
        if node is None:
            raise UnknownValueError
        return evaluation.value(node)

    def _called(self, node: ast.Call, evaluation: CopyingEvaluation) -> tuple[Callable[..., Any], Arguments, list[str]]:
        function = evaluation.function(node.func)
        args, kwargs = evaluation.arguments(node)
        owner = getattr(function, "__self__", None)
        if not isinstance(owner, Tensor):
            return function, (args, kwargs), positions(node, is_method=False)
        return getattr(Tensor, function.__name__), ((owner, *args), kwargs), positions(node, is_method=True)


def _operator(name: str) -> Callable[..., Any]:
    function = getattr(operator, name, None) or getattr(operator, f"{name}_", None)
    if function is None:
        raise UnknownValueError
    return function  # type: ignore[no-any-return]  # a function of `operator`
