"""How the running loop keeps its best weights: which two values it compares, which way round, and what it keeps then.

It is read from the source of the functions that are running: what a comparison means stands there in the names alone.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
        for each in kept_by(scope):
            current = ast.unparse(each.current)
            yield BestCompared(
                step=subject.step,
                current=current,
                best=ast.unparse(each.best),
                when_lower=each.when_lower,
                is_negated=_is_negated(scope, current),
                site=site_of_node(each.test, scope.filename, scope.function),
            )


@dataclass(frozen=True, eq=False, slots=True)
class KeptBy:
    """A comparison by which weights are kept, or waiting begins anew."""

    test: ast.Compare
    current: ast.expr
    best: ast.expr
    when_lower: bool
    is_one_of_several: bool
    """Whether something else may hold in its place."""


def kept_by(scope: Scope) -> Iterator[KeptBy]:
    """The comparisons of a function after which the current value is the best."""
    for node in within(scope.body):
        if isinstance(node, ast.If) and (_keeps(node.body) or _is_patience(node)):
            is_one_of_several = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.Or)
            for test in _comparisons(node.test):
                left, right, is_less = test.left, test.comparators[0], isinstance(test.ops[0], _LESS)
                for current, best, when_lower in ((left, right, is_less), (right, left, not is_less)):
                    if _gives(node.body, ast.unparse(best), ast.unparse(current)):
                        yield KeptBy(test, current, best, when_lower, is_one_of_several)


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
    """What is kept in a loop under the name of the best, where the loop goes on and nothing is saved."""
    model = subject.model()
    for scope in scopes if model is not None else ():
        in_loops = (each for loop in within(scope.body) if isinstance(loop, _LOOPS) for each in within(loop))
        for node in in_loops:
            if isinstance(node, ast.If) and any(_comparisons(node.test)) and not _is_done(node.body):
                yield from _referenced(node, scope, model, subject.step)


_LOOPS = (ast.For, ast.While)
_ENDS = (ast.Break, ast.Return, ast.Raise)


def _is_done(body: Sequence[ast.stmt]) -> bool:
    """Whether the weights are saved at once, or the loop ends here."""
    nodes = [node for each in body for node in ast.walk(each)]
    is_saved = any(isinstance(node, ast.Call) and called_name(node) in _SAVING for node in nodes)
    return is_saved or any(isinstance(node, _ENDS) for node in nodes)


_SAVING = _KEEPING - {"state_dict"}


def _referenced(node: ast.If, scope: Scope, model: nn.Module | None, step: int) -> Iterator[BestReferenced]:
    for each in node.body:
        if not isinstance(each, ast.Assign) or "best" not in ast.unparse(each.targets[0]).lower():
            continue
        name, value = ast.unparse(each.targets[0]), each.value
        match value:
            case ast.Name(id=model_name) if value_of(value, scope) is model:
                site = site_of_node(each, scope.filename, scope.function)
                yield BestReferenced(step, name, model_name, None, site)
            case ast.Call(func=ast.Attribute(value=owner, attr="state_dict"), args=[], keywords=[]):
                loaded = _loaded(scope, name)
                if loaded is not None and value_of(owner, scope) is model:
                    used = site_of_node(loaded, scope.filename, scope.function)
                    site = site_of_node(value, scope.filename, scope.function)
                    yield BestReferenced(step, name, ast.unparse(owner), used, site)


def _loaded(scope: Scope, name: str) -> ast.Call | None:
    """Where the scope loads what has this name."""
    calls = (node for node in within(scope.body) if isinstance(node, ast.Call))
    loads = (call for call in calls if called_name(call) == "load_state_dict" and call.args)
    return next((call for call in loads if ast.unparse(call.args[0]) == name), None)
