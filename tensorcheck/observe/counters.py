"""Counters of a training loop that its source never sets back: zero before all epochs, divided by one epoch's size.

Read from the source of the running functions. It is sure where a name is set to zero before a loop over epochs and
nowhere in it, added to in a loop inside, and divided by a length in each epoch.
"""

import ast
from collections.abc import Iterator, Sequence

from tensorcheck.events.passes import CounterAccumulated
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.frames import site_of_node
from tensorcheck.observe.probe import Sink
from tensorcheck.observe.scopes import Scope, called_name, within
from tensorcheck.observe.stack import standing
from tensorcheck.observe.subject import Subject

_LOOPS = (ast.For, ast.While)


def tell_of_counters(sink: Sink, subject: Subject) -> None:
    """Emit what the running functions count over all epochs and divide by the size of one."""
    with standing() as frames:
        for scope in scopes_of(frames):
            for event in _accumulated(scope, subject.step):
                if not sink.is_known(key := ("counter", subject, event.site)):
                    sink.emit(event, subject, signature=key)


def _accumulated(scope: Scope, step: int) -> Iterator[CounterAccumulated]:
    for loop in within(scope.body):
        if not isinstance(loop, ast.For) or not _is_over_epochs(loop):
            continue
        for name, added in _added_in_inner_loops(loop).items():
            zero = _zero_before(scope, loop, name)
            use = next(_averages(loop, name), None)
            if zero is not None and use is not None and not _is_given_in(loop, name):
                yield CounterAccumulated(
                    step=step,
                    name=name,
                    zeroed=site_of_node(zero, scope.filename, scope.function),
                    added=site_of_node(added, scope.filename, scope.function),
                    site=site_of_node(use, scope.filename, scope.function),
                )


def _is_over_epochs(loop: ast.For) -> bool:
    names = {node.id.lower() for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    return called_name(loop.iter) in ("range", "trange") and any("epoch" in name for name in names)


def _added_in_inner_loops(loop: ast.For) -> dict[str, ast.AugAssign]:
    inner = (node for statement in loop.body for node in ast.walk(statement) if isinstance(node, _LOOPS))
    added = (node for each in inner for node in ast.walk(each) if isinstance(node, ast.AugAssign))
    return {
        each.target.id: each for each in added if isinstance(each.target, ast.Name) and isinstance(each.op, ast.Add)
    }


def _zero_before(scope: Scope, loop: ast.For, name: str) -> ast.stmt | None:
    """The statement above the loop that sets it to zero, if that is all that gives it a value outside."""
    given = [node for node in within(scope.body) if isinstance(node, ast.Assign) and name in _targets(node)]
    is_zero = len(given) == 1 and isinstance(given[0].value, ast.Constant) and given[0].value.value == 0
    return given[0] if is_zero and given[0].lineno < loop.lineno else None


def _targets(node: ast.Assign) -> Sequence[str]:
    return [part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)]


def _is_given_in(loop: ast.For, name: str) -> bool:
    """Whether any statement of the loop gives it another value than one more."""
    for node in ast.walk(loop):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            is_added = any(
                isinstance(each, ast.AugAssign) and each.target is node and isinstance(each.op, ast.Add)
                for each in ast.walk(loop)
            )
            if not is_added:
                return True
    return False


def _averages(loop: ast.For, name: str) -> Iterator[ast.BinOp]:
    """Its quotients by a length, in each epoch, that have nothing to do with the number of the epoch."""
    epochs = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    inside = {
        node for each in loop.body for loops in ast.walk(each) if isinstance(loops, _LOOPS) for node in ast.walk(loops)
    }
    for node in (part for statement in loop.body for part in ast.walk(statement)):
        if node in inside or not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Div):
            continue
        is_quotient = isinstance(node.left, ast.Name) and node.left.id == name and called_name(node.right) == "len"
        around = [each for each in ast.walk(loop) if isinstance(each, ast.BinOp) and node in set(ast.walk(each))]
        used = {part.id for each in around for part in ast.walk(each) if isinstance(part, ast.Name)}
        if is_quotient and not used & epochs:
            yield node
