"""A schedule that has come to its end: how it was built, and how often it steps beside its optimizer."""

import ast
import itertools
from collections.abc import Iterator, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from tensorcheck.observe.carrying import running_loops
from tensorcheck.observe.evaluating import UNKNOWN, known_value
from tensorcheck.observe.frames import Owner
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.scopes import Scope
from tensorcheck.observe.stack import StackFrame
from tensorcheck.optimizing import ScheduleEnd


def schedule_end_of(frames: Sequence[StackFrame], lineages: Lineages) -> ScheduleEnd | None:
    """What is known of the scheduler with a fixed number of steps that was stepping; None where there was none."""
    steps = [frame for frame in frames if frame.owner is Owner.TORCH and frame.frame.f_code.co_name == "step"]
    scheduler = next((each for frame in steps if isinstance(each := frame.local("self"), LRScheduler)), None)
    total = getattr(scheduler, "total_steps", None)
    if scheduler is None or not isinstance(total, int):
        return None
    counted, loader = next(_epochs(lineages.scopes, total), ("", ""))
    return ScheduleEnd(
        kind=type(scheduler).__name__,
        total=total,
        lineage=lineages.of_object(scheduler),
        optimizer_steps=_steps_of(scheduler.optimizer),
        epochs=counted,
        loader=loader,
    )


def _steps_of(optimizer: Optimizer) -> int | None:
    """How many steps an optimizer has counted; some count none."""
    counts = {int(state["step"]) for state in optimizer.state.values() if "step" in state}
    return counts.pop() if len(counts) == 1 else None


def _epochs(scopes: Sequence[Scope], total: int) -> Iterator[tuple[str, str]]:
    """The number of rounds of a running loop that is this total, and the DataLoader that is gone through in each."""
    for scope in scopes:
        loops = running_loops(scope)
        for inner, outer in itertools.pairwise(loops):
            match outer, inner:
                case ast.For(iter=ast.Call(func=ast.Name(id="range"), args=[rounds])), ast.For(
                    iter=ast.Name() as batches
                ):
                    is_loader = isinstance(known_value(batches, scope.names), DataLoader)
                    value = known_value(rounds, scope.names)
                    if is_loader and value is not UNKNOWN and value == total:
                        yield ast.unparse(rounds), batches.id
                case _:
                    pass
