"""How the running loop keeps its best weights: which two values it compares, which way round, and what it keeps then.

It is read from the source of the functions that are running: what a comparison means stands there in the names alone.
"""

import ast
from collections.abc import Iterator, Sequence

from torch import nn

from tensorcheck.events.checkpoint import BestCompared, BestReferenced
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.lookups import value_of
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.scopes import Scope, called_name, within
from tensorcheck.observe.stack import standing
from tensorcheck.observe.subject import Subject

_KEEPING = frozenset({"state_dict", "save", "save_checkpoint", "save_pretrained", "save_model", "deepcopy"})
_LESS = (ast.Lt, ast.LtE)
_GREATER = (ast.Gt, ast.GtE)


def tell_of_best(sink: Sink, subject: Subject) -> None:
    """Emit what the running functions compare before they keep a model's weights."""
    with standing() as frames:
        scopes = scopes_of(frames)
        events: list[BestCompared | BestReferenced] = [*_all_compared(scopes, subject)]
        for event in (*events, *_all_referenced(scopes, subject)):
            key = ("best", subject, type(event), event.site)
            if not sink.is_known(key):
                sink.emit(event, subject, signature=key)


def _all_compared(scopes: Sequence[Scope], subject: Subject) -> Iterator[BestCompared]:
    for scope in scopes:
        for node in within(scope.body):
            if isinstance(node, ast.If):
                yield from _compared(node, scope, subject.step)


def _compared(node: ast.If, scope: Scope, step: int) -> Iterator[BestCompared]:
    for test in _comparisons(node.test):
        left, right = ast.unparse(test.left), ast.unparse(test.comparators[0])
        is_less = isinstance(test.ops[0], _LESS)
        for current, best, when_lower in ((left, right, is_less), (right, left, not is_less)):
            if _gives(node.body, best, current) and (_keeps(node.body) or _is_patience(node)):
                yield BestCompared(
                    step=step,
                    current=current,
                    best=best,
                    when_lower=when_lower,
                    is_negated=_is_negated(scope, current),
                    site=site_of_node(test, scope.filename, scope.function),
                )


def _comparisons(test: ast.expr) -> Iterator[ast.Compare]:
    """The comparisons of two values that a test is, or that have to hold beside others."""
    parts = test.values if isinstance(test, ast.BoolOp) else [test]
    for part in parts:
        if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], (*_LESS, *_GREATER)):
            yield part


def _gives(body: Sequence[ast.stmt], best: str, current: str) -> bool:
    """Whether one of these statements makes the current value the best."""
    return any(
        isinstance(each, ast.Assign)
        and ast.unparse(each.value) == current
        and any(ast.unparse(target) == best for target in each.targets)
        for each in body
    )


def _keeps(body: Sequence[ast.stmt]) -> bool:
    calls = (node for each in body for node in ast.walk(each) if isinstance(node, ast.Call))
    return any(called_name(call) in _KEEPING for call in calls)


def _is_patience(node: ast.If) -> bool:
    """Whether something is set to zero here and counted up otherwise: the rounds without a better value."""
    zeroed = {
        ast.unparse(target)
        for each in node.body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant) and each.value.value == 0
        for target in each.targets
    }
    counted = {ast.unparse(each.target) for each in node.orelse if isinstance(each, ast.AugAssign)}
    return bool(zeroed & counted)


def _is_negated(scope: Scope, name: str) -> bool:
    """Whether some statement gives it the negative of something, so that its name says the contrary."""
    given = (
        each.value
        for each in within(scope.body)
        if isinstance(each, ast.Assign) and any(ast.unparse(target) == name for target in each.targets)
    )
    return any(isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub) for value in given)


def _all_referenced(scopes: Sequence[Scope], subject: Subject) -> Iterator[BestReferenced]:
    model = subject.model()
    for scope in scopes if model is not None else ():
        for node in within(scope.body):
            if isinstance(node, ast.If) and any(_comparisons(node.test)) and not _keeps(node.body):
                yield from _referenced(node, scope, model, subject.step)


def _referenced(node: ast.If, scope: Scope, model: nn.Module | None, step: int) -> Iterator[BestReferenced]:
    for each in node.body:
        match each:
            case ast.Assign(targets=[ast.Name() | ast.Attribute() as target], value=ast.Name() as value):
                if "best" in ast.unparse(target).lower() and value_of(value, scope) is model:
                    site = site_of_node(each, scope.filename, scope.function)
                    yield BestReferenced(step, ast.unparse(target), value.id, site)
