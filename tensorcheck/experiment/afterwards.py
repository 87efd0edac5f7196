"""The loss that the user's own lines compute right after the model's call, computed once more on a copy."""

import ast
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from torch import nn
from torch.nn import functional

from tensorcheck.experiment.copies import Copier
from tensorcheck.experiment.copying_evaluation import MISSING, CopyingEvaluation
from tensorcheck.observe.evaluating import Namespace, UnknownValueError, evaluate, namespace_of
from tensorcheck.observe.frames import expression_at, tree_of
from tensorcheck.observe.loss_functions import LOSSES, OTHER_LOSSES
from tensorcheck.observe.stack import StackFrame

_STATEMENTS = 6
"""How far after the model's call the loss may be."""


@dataclass(frozen=True, slots=True)
class Afterwards:
    """The statements from the model's call to the loss, and what their names stood for."""

    called: ast.Call
    """The model's call."""
    statements: tuple[ast.stmt, ...]
    loss: ast.Call
    names: Namespace

    def run(self, output: object, copier: Copier) -> None:
        """Compute the loss of a copy's output; an `UnknownValueError` where that would run code of the user's."""
        evaluation = CopyingEvaluation(self.names, copier, {self.called: output})
        for statement in self.statements:
            _follow(statement, evaluation)
        function: Any = evaluate(self.loss.func, self.names)
        if isinstance(function, nn.Module):
            function = copier.model(function)
        args, kwargs = evaluation.arguments(self.loss)
        function(*args, **kwargs)


def afterwards_of(caller: StackFrame | None) -> Afterwards | None:
    """What the frame that called the model does next, if that is a loss of PyTorch's."""
    if caller is None:
        return None
    called = expression_at(caller.frame.f_code, caller.instruction)
    tree = tree_of(caller.frame.f_code.co_filename)
    if not isinstance(called, ast.Call) or tree is None:
        return None
    names = namespace_of(caller.frame)
    statements: list[ast.stmt] = []
    assigned: set[str] = set()
    for statement in _from(called, tree):
        loss = next((each for each in _losses_in(statement, names) if _is_of(each, called, assigned)), None)
        if loss is not None:
            return Afterwards(called, tuple(statements), loss, names)
        statements.append(statement)
        assigned |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and _is_stored(node)}
    return None


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _is_of(loss: ast.Call, called: ast.Call, assigned: AbstractSet[str]) -> bool:
    """Whether a loss is computed from the model's call, or from what was assigned since."""
    return any(node is called or (isinstance(node, ast.Name) and node.id in assigned) for node in ast.walk(loss))


def _from(called: ast.Call, tree: ast.AST) -> Iterator[ast.stmt]:
    """The statement that holds the call, and the simple ones that follow in the same block."""
    for node in ast.walk(tree):
        for block in _blocks(node):
            for place, statement in enumerate(block):
                if not _is_compound(statement) and any(part is called for part in ast.walk(statement)):
                    yield from _simple(block[place : place + _STATEMENTS])
                    return


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block


def _simple(statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        if _is_compound(statement):
            return
        yield statement


def _is_compound(statement: ast.AST) -> bool:
    return hasattr(statement, "body") or isinstance(statement, ast.Match)


def _losses_in(statement: ast.stmt, names: Namespace) -> Iterator[ast.Call]:
    calls = (node for node in ast.walk(statement) if isinstance(node, ast.Call))
    return (call for call in calls if _is_loss(_known(call.func, names)))


def _known(node: ast.expr, names: Namespace) -> object:
    try:
        return evaluate(node, names)
    except UnknownValueError:
        return None


def _is_loss(value: object) -> bool:
    if isinstance(value, nn.Module):
        return type(value).__module__ == "torch.nn.modules.loss"
    return isinstance(value, FunctionType) and any(
        value is getattr(functional, name) for name in (*LOSSES, *OTHER_LOSSES)
    )


def _follow(statement: ast.stmt, evaluation: CopyingEvaluation) -> None:
    match statement:
        case ast.Assign(targets=[target]):
            _assign(target, _or_missing(statement.value, evaluation), evaluation)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            _assign(target, _or_missing(value, evaluation), evaluation)
        case ast.Expr():
            return
        case _:
            raise UnknownValueError


def _or_missing(node: ast.expr, evaluation: CopyingEvaluation) -> object:
    try:
        return evaluation.value(node)
    except UnknownValueError:
        return MISSING


def _assign(target: ast.expr, value: object, evaluation: CopyingEvaluation) -> None:
    if isinstance(target, ast.Name):
        evaluation.made[target.id] = value
    elif isinstance(target, ast.Tuple | ast.List):
        values = list(value) if isinstance(value, tuple | list) else []
        fits = len(values) == len(target.elts)
        for index, element in enumerate(target.elts):
            _assign(element, values[index] if fits else MISSING, evaluation)
    else:
        raise UnknownValueError
