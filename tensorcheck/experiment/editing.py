"""The edits of a fix, made when the failing call comes again in a copy."""

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tensorcheck.calls import FailedCall
from tensorcheck.experiment.edits import Arguments, named, operand_edits, with_operands, with_settings
from tensorcheck.fixes import Edit
from tensorcheck.observe.describe import leaves
from tensorcheck.observe.evaluating import UnknownValueError, evaluate, namespace_of
from tensorcheck.observe.frames import expression_at, position_of, user_frame
from tensorcheck.observe.stack import StackFrame

Position = tuple[CodeType, object]
"""An expression of the user's source."""


class Editing(TorchFunctionMode):
    """Edits the failing call when it is made again: an operation or loss as a mode, a layer as its hook."""

    def __init__(self, call: FailedCall, edits: Sequence[Edit], place: Position | None, user: StackFrame) -> None:
        super().__init__()
        self.edits = edits
        self.was_applied = False
        self._call = call
        self._position = place
        self._node = expression_at(user.frame.f_code, user.instruction)

    def before_layer(self, layer: nn.Module, args: Any, kwargs: dict[str, Any]) -> Arguments | None:  # noqa: ANN401
        """A hook of the failing layer."""
        if not self._is_here():
            return None
        names = parameters(type(layer).forward)[1:]
        operands = named((args, kwargs), names)
        self.was_applied = True
        return with_operands((args, kwargs), self.edits, operands, names)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the function's own result
        """Call a function, the failing one with other arguments."""
        if self._is_failing(func) and self._is_here():
            args, kwargs = self._edited(func, (args, kwargs or {}))
            self.was_applied = True
        return func(*args, **(kwargs or {}))

    def _is_failing(self, func: Callable[..., Any]) -> bool:
        if self._call.kind == "loss":
            return func is getattr(functional, self._call.function)
        return func.__name__.strip("_") in (self._call.function, f"i{self._call.function}", f"r{self._call.function}")

    def _is_here(self) -> bool:
        frame = user_frame()
        if self._position is None or frame is None:
            return True
        return position(StackFrame(frame, frame.f_lasti)) == self._position

    def _edited(self, func: Callable[..., Any], arguments: Arguments) -> Arguments:
        if self._call.kind == "loss":
            of_loss = parameters(func)
            edited = with_settings(arguments, self.edits, of_loss)
            return with_operands(edited, self.edits, named(arguments, of_loss), of_loss)
        names = positions(self._node, is_method=_is_method(self._node, arguments))
        operands = {edit.operand: self._operand(edit.operand, arguments) for edit in operand_edits(self.edits)}
        known = {name: tensor for name, tensor in operands.items() if tensor is not None}
        return with_operands(with_settings(arguments, self.edits, names), self.edits, known, ())

    def _operand(self, code: str, arguments: Arguments) -> Tensor | None:
        """What stands in an expression's place in the call, or else what it is worth in the running line."""
        spelled = in_place(self._node, code, arguments)
        if spelled is not None:
            return spelled
        frame = user_frame()
        node = ast.parse(code, mode="eval").body
        try:
            value = evaluate(node, namespace_of(frame)) if frame is not None else None
        except UnknownValueError:
            value = None
        return value if isinstance(value, Tensor) else None


def in_place(node: ast.AST | None, code: str, arguments: Arguments) -> Tensor | None:
    """The tensor that an expression, itself a call, put into the arguments of the call around it."""
    for name, part in _spelled(node, is_method=_is_method(node, arguments)):
        given: object = arguments[1].get(name)
        if name.isdigit() and int(name) < len(arguments[0]):
            given = arguments[0][int(name)]
        for path, tensor in leaves(given, ast.unparse(part)):
            if path == code:
                return tensor
        if isinstance(part, ast.List | ast.Tuple) and isinstance(given, list | tuple):
            for element, value in zip(part.elts, given, strict=False):
                if ast.unparse(element) == code and isinstance(value, Tensor):
                    return value
    return None


def _spelled(node: ast.AST | None, *, is_method: bool) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Call():
            owner = [node.func.value] if is_method and isinstance(node.func, ast.Attribute) else []
            yield from ((str(index), part) for index, part in enumerate([*owner, *node.args]))
            yield from ((word.arg, word.value) for word in node.keywords if word.arg)
        case ast.BinOp():
            yield from (("0", node.left), ("1", node.right))
        case ast.Subscript():
            yield from (("0", node.value), ("1", node.slice))
        case ast.AugAssign():
            yield from (("0", node.target), ("1", node.value))
        case ast.Compare():
            yield from (("0", node.left), ("1", node.comparators[0]))
        case ast.UnaryOp():
            yield "0", node.operand
        case ast.Name() | ast.Attribute():
            yield "0", node


def _is_method(node: ast.AST | None, arguments: Arguments) -> bool:
    """Whether the first argument stands before the dot: then there is one more than the call spells."""
    return isinstance(node, ast.Call) and len(arguments[0]) > len(node.args)


def positions(node: ast.AST | None, *, is_method: bool) -> list[str]:
    """The names that an operation's positional arguments go by."""
    if isinstance(node, ast.Subscript):
        return ["self", "index"]
    count = len(node.args) if isinstance(node, ast.Call) else 2
    return [*(["self"] if is_method else []), *map(str, range(count))]


def position(frame: StackFrame) -> Position:
    """Which expression a frame is computing."""
    return frame.frame.f_code, position_of(frame.frame.f_code, frame.instruction)


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters."""
    code = getattr(function, "__wrapped__", function).__code__
    return tuple(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
