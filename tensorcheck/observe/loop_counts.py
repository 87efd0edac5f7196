"""How often the running loops go round: over a `range`, and over the batches of a DataLoader."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from torch.utils.data import DataLoader

from tensorcheck.observe.carrying import Loop, running_loops
from tensorcheck.observe.entering import scopes_of
from tensorcheck.observe.evaluating import known_value
from tensorcheck.observe.scopes import Scope, with_conditions, within
from tensorcheck.observe.stack import standing


@dataclass(frozen=True, slots=True)
class LoopCounts:
    """What is known of the loops around the running line."""

    epochs: int | None = None
    """The rounds of the innermost loop over a `range`, outside of that over the batches."""
    epochs_code: str = ""
    batches: int | None = None
    """The length of the DataLoader that the innermost loop goes through, if the line runs in each of its rounds."""
    loader: str = ""
    may_end_early: bool = False


def counts_of() -> LoopCounts:
    """The counts of the loops in which the running stack stands; nothing where they are of another form."""
    with standing() as frames:
        loops = [(loop, scope) for scope in scopes_of(frames) for loop in running_loops(scope)[::-1]]
        found = _batches(loops)
        if found is not None:
            loader, code = found
            outer = loops[:-1]
            is_each = not _is_conditional(*loops[-1])
        else:
            loader, code, outer, is_each = None, "", loops, True
        epochs, epochs_code = _epochs(*outer[-1]) if outer else (None, "")
        return LoopCounts(
            epochs=epochs,
            epochs_code=epochs_code,
            batches=_length(loader) if loader is not None and is_each else None,
            loader=code,
            may_end_early=any(_may_end(loop) for loop, _ in loops),
        )


def _batches(loops: Sequence[tuple[Loop, Scope]]) -> tuple[DataLoader[object], str] | None:
    """The loader of the innermost loop, and how it is spelled; it may be enumerated or shown with a progress bar."""
    loop, scope = loops[-1] if loops else (None, None)
    if not isinstance(loop, ast.For) or scope is None:
        return None
    for node in ast.walk(loop.iter):
        if isinstance(node, ast.Name | ast.Attribute):
            value = known_value(node, scope.names)
            if isinstance(value, DataLoader):
                return value, ast.unparse(node)
    return None


def _length(loader: DataLoader[object]) -> int | None:
    try:
        return len(loader)
    except Exception:  # noqa: BLE001 - of a stream, or of a sampler that has none
        return None


def _epochs(loop: Loop, scope: Scope) -> tuple[int | None, str]:
    calls = ast.walk(loop.iter) if isinstance(loop, ast.For) else ()
    for node in calls:
        match node:
            case ast.Call(func=ast.Name(id="range" | "trange"), args=[rounds]):
                value = known_value(rounds, scope.names)
                return (value, ast.unparse(rounds)) if type(value) is int else (None, "")
            case ast.Call(func=ast.Name(id="range"), args=[start, stop]):
                first, last = known_value(start, scope.names), known_value(stop, scope.names)
                is_known = type(first) is int and type(last) is int
                return (last - first, ast.unparse(stop)) if is_known else (None, "")  # type: ignore[operator]
    return None, ""


def _is_conditional(loop: Loop, scope: Scope) -> bool:
    """Whether the line at which the scope stands runs in some rounds of the loop alone."""
    at = scope.stands_at
    around = [tests for node, tests in with_conditions(loop) if at is not None and _starts_at(node, at)]
    return not around or any(around)


def _starts_at(node: ast.AST, at: tuple[int, int]) -> bool:
    return isinstance(node, ast.expr) and (node.lineno, node.col_offset) == at


def _may_end(loop: Loop) -> bool:
    return any(isinstance(node, ast.Break | ast.Return) for node in within(loop))
