"""A best value so far that nothing can beat: it began with infinity, or with zero where all values are above."""

import ast
import math
from collections.abc import Iterator

from tensorcheck.events.checkpoint import BestStuck
from tensorcheck.observe.best_keeping import KeptBy, kept_by
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.evaluating import known_value
from tensorcheck.observe.frames import site_of_node, tree_of
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.scopes import Scope, within
from tensorcheck.observe.stack import standing
from tensorcheck.observe.subject import Subject


def tell_of_starts(sink: Sink, subject: Subject) -> None:
    """Emit the comparisons of the running functions that never hold."""
    with standing() as frames:
        scopes = scopes_of(frames)
        events = [event for scope in scopes for each in kept_by(scope) for event in _stuck(each, scope, subject.step)]
    for event in events:
        key = ("stuck", subject, event.site)
        if not sink.is_known(key):
            sink.emit(event, subject, signature=key)


def _stuck(kept: KeptBy, scope: Scope, step: int) -> Iterator[BestStuck]:
    best, current = _number(kept.best, scope), _number(kept.current, scope)
    start = _only_start(kept, scope)
    if best is None or start is None or kept.is_one_of_several:
        return
    is_endless = math.isinf(best) and (best < 0) is kept.when_lower
    is_zero = kept.when_lower and best == 0 and _is_zero(start.value) and current is not None and current > 0
    if is_endless or is_zero:
        yield BestStuck(
            step=step,
            current=ast.unparse(kept.current),
            best=ast.unparse(kept.best),
            when_lower=kept.when_lower,
            start=best,
            value=current if is_zero else None,
            built=site_of_node(start, scope.filename, scope.function),
            site=site_of_node(kept.test, scope.filename, scope.function),
        )


def _number(node: ast.expr, scope: Scope) -> float | None:
    value = known_value(node, scope.names)
    return float(value) if isinstance(value, int | float) and type(value) is not bool else None


def _is_zero(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value == 0


def _only_start(kept: KeptBy, scope: Scope) -> ast.Assign | None:
    """The statement of the file that begins the best; None where there are several, or it gets other values too."""
    name, current = ast.unparse(kept.best), ast.unparse(kept.current)
    given = [
        each
        for each in _statements(kept.best, scope)
        if isinstance(each, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr | ast.For)
        and any(ast.unparse(part) == name for part in _targets(each))
    ]
    starts = [each for each in given if isinstance(each, ast.Assign) and ast.unparse(each.value) != current]
    others = [each for each in given if not isinstance(each, ast.Assign)]
    return starts[0] if len(starts) == 1 and not others else None


def _statements(best: ast.expr, scope: Scope) -> Iterator[ast.AST]:
    """Where it may get a value: a name in its own function, anything else in the whole file."""
    own = list(within(scope.body))
    name = best.id if isinstance(best, ast.Name) else ""
    is_local = any(isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Store) for each in own)
    is_shared = any(isinstance(each, ast.Global | ast.Nonlocal) and name in each.names for each in own)
    return iter(own) if is_local and not is_shared else ast.walk(tree_of(scope.filename) or ast.Module([], []))


def _targets(statement: ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr | ast.For) -> Iterator[ast.expr]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    for target in targets:
        yield from getattr(target, "elts", [target])
