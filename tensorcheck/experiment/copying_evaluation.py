"""What an expression of the user's is worth on copies: PyTorch's own functions are called, none of the user's is."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.experiment.copies import Copier
from tensorcheck.observe.describe import tensors_in
from tensorcheck.observe.evaluating import Namespace, UnknownValueError, evaluate

MISSING = object()
"""What a name stands for that was given a value which is not known."""
_DATA = (Tensor, bool, int, float, complex, str, tuple, list, dict, type(None), torch.dtype, torch.device)
_NEVER = ("backward", "register_hook", "retain_grad")
_BUILTINS = (bool, float, int, complex, len, abs)
_COMPUTES = ("torch.functional", "torch.nn.functional", "torch._C._", "torch.linalg", "torch.nn.utils.rnn")
_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}


class CopyingEvaluation:
    """Evaluates expressions of one frame; an `UnknownValueError` where that would run code of the user's."""

    def __init__(self, names: Namespace, copier: Copier, known: Mapping[ast.expr, object] | None = None) -> None:
        self._names = names
        self._copier = copier
        self._known = known or {}
        """What certain calls have returned on the copy."""
        self.made: dict[str, object] = {}
        """What the names stand for that were assigned since."""

    def value(self, node: ast.expr) -> Any:  # noqa: ANN401 - any value
        """What an expression is worth."""
        if node in self._known:
            return self._known[node]
        if isinstance(node, ast.Name) and node.id in self.made:
            if self.made[node.id] is MISSING:
                raise UnknownValueError
            return self.made[node.id]
        return self._computed(node) if self._depends(node) else self._outside(node)

    def arguments(self, node: ast.Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What a call is given."""
        if any(word.arg is None for word in node.keywords) or any(isinstance(each, ast.Starred) for each in node.args):
            raise UnknownValueError
        return tuple(map(self.value, node.args)), {str(word.arg): self.value(word.value) for word in node.keywords}

    def index(self, node: ast.expr) -> object:
        """What stands between brackets."""
        if isinstance(node, ast.Slice):
            parts = (node.lower, node.upper, node.step)
            return slice(*(None if part is None else self.value(part) for part in parts))
        if isinstance(node, ast.Tuple):
            return tuple(self.index(element) for element in node.elts)
        return self.value(node)

    def function(self, node: ast.expr) -> Callable[..., Any]:
        """A function of PyTorch's, or a method of a tensor that changes nothing."""
        try:
            found: Any = evaluate(node, self._names)
        except UnknownValueError:
            found = None
        if callable(found) and (is_of_torch(found) or any(found is each for each in _BUILTINS)):
            function: Callable[..., Any] = found
            return function
        if not isinstance(node, ast.Attribute) or node.attr in _NEVER:
            raise UnknownValueError
        owner = self.value(node.value)
        if not isinstance(owner, Tensor):
            raise UnknownValueError
        method: Callable[..., Any] = getattr(owner, node.attr)
        return method

    def _depends(self, node: ast.expr) -> bool:
        """Whether an expression is made of what the copy made."""
        return any(
            part in self._known or (isinstance(part, ast.Name) and part.id in self.made) for part in ast.walk(node)
        )

    def _outside(self, node: ast.expr) -> Any:  # noqa: ANN401 - any value
        """What the user's frame holds, copied."""
        try:
            value = evaluate(node, self._names)
        except UnknownValueError:
            return self._computed(node)
        if not isinstance(value, _DATA) or not all(self._copier.is_sampled_whole(each) for each in tensors_in(value)):
            raise UnknownValueError
        return self._copier.inputs(value)

    def _computed(self, node: ast.expr) -> Any:  # noqa: ANN401, PLR0911 - any value, and one return for each kind of node
        match node:
            case ast.Call():
                args, kwargs = self.arguments(node)
                return self.function(node.func)(*args, **kwargs)
            case ast.Attribute():
                return getattr(self._own(node.value), node.attr)
            case ast.Subscript():
                return self._own(node.value)[self.index(node.slice)]
            case ast.Tuple() | ast.List():
                return [self.value(element) for element in node.elts]
            case ast.BinOp() if type(node.op) in _OPERATORS:
                return _OPERATORS[type(node.op)](self.value(node.left), self.value(node.right))
            case ast.Compare(ops=[compared], comparators=[other]) if type(compared) in _OPERATORS:
                return _OPERATORS[type(compared)](self.value(node.left), self.value(other))
            case ast.UnaryOp() if type(node.op) in _OPERATORS:
                return _OPERATORS[type(node.op)](self.value(node.operand))
        raise UnknownValueError

    def _own(self, node: ast.expr) -> Any:  # noqa: ANN401 - any value
        """What the copy made: to look into it changes nothing of the user's."""
        value = self.value(node)
        if not self._depends(node) and not isinstance(value, Tensor):
            raise UnknownValueError
        return value


def is_of_torch(function: object) -> bool:
    """Whether this is a function or layer of PyTorch's that computes with tensors, and runs no user's code."""
    owner = str(getattr(function, "__module__", None))
    name = str(getattr(function, "__qualname__", ""))
    if isinstance(function, type):
        return function is nn.Parameter or (issubclass(function, nn.Module) and owner.startswith("torch.nn.modules."))
    return owner.startswith(_COMPUTES) or name.startswith(("_VariableFunctionsClass.", "TensorBase."))
