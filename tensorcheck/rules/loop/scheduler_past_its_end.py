"""TCK503."""

import ast
import re
from collections.abc import Iterator

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.lineage import Ancestor, Step
from tensorcheck.optimizing import ScheduleEnd
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits, label_for, short

_RUN_OUT = re.compile(r"Tried to step (\d+) times\. The specified number of total steps is (\d+)")
_COUNTS = ("total_steps", "epochs", "steps_per_epoch")


class SchedulerPastItsEnd(Rule[Crashed]):
    """A learning-rate schedule is stepped more often than it was built for.

    ## What it does
    Explains the exception of a schedule with a fixed number of steps: where it was built, what its number of steps was
    computed from, and where it is stepped.

    ## Why it matters
    `OneCycleLR` counts batches. Built with the number of epochs and stepped after each batch, it is over within the
    first epoch; one step too many, as after a resumed run or with an incomplete last batch, ends a training at its end.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=2)
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            for batch in torch.rand(3, 8, 4):
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
                scheduler.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=2 * 3)
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            for batch in torch.rand(3, 8, 4):
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
                scheduler.step()
    ```
    """

    code = "TCK503"
    name = "scheduler-past-its-end"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the number of steps with the one that the schedule was built for."""
        told, end = _RUN_OUT.search(event.message), event.schedule_end
        if told is None or end is None:
            return
        built = _built(end)
        counts = _counts(built)
        headline = f"`{end.kind}` is stepped {told[1]} times but was built for {told[2]}"
        yield self.finding(
            first_that_fits(headline, f"a schedule of {told[2]} steps is stepped {told[1]} times"),
            label=label_for(headline, f"step {told[1]} of {told[2]}"),
            expected=f"at most {told[2]} steps{f'    {_spelled(counts)}' if counts else ''}",
            got=f"step {told[1]}{_beside(end)}",
            site=event.site,
            related=each_line_once(_related(built, counts), event.site),
            notes=_notes(end),
            help=_help(end, built, counts),
        )


def _built(end: ScheduleEnd) -> Ancestor | None:
    made = (each for each in end.lineage.ancestors if each.step in (Step.ASSIGNED, Step.ATTRIBUTE, Step.RETURNED))
    return next((each for each in made if each.site is not None and f"{end.kind}(" in each.site.code), None)


def _counts(built: Ancestor | None) -> dict[str, str]:
    """How the numbers are spelled that the schedule counts with, by the names of its arguments."""
    code = built.site.code if built is not None and built.site is not None else ""
    try:
        node = ast.parse(code, mode="eval").body
    except SyntaxError:
        return {}
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return {each.arg: ast.unparse(each.value) for each in keywords if each.arg in _COUNTS}


def _spelled(counts: dict[str, str]) -> str:
    return ", ".join(f"{name}={short(code)}" for name, code in counts.items())


def _beside(end: ScheduleEnd) -> str:
    """How often the optimizer has stepped so far, where it steps as often as its scheduler."""
    is_each = end.optimizer_steps is not None and end.optimizer_steps > end.total
    return f"    the optimizer has taken {end.optimizer_steps} steps" if is_each else ""


def _related(built: Ancestor | None, counts: dict[str, str]) -> list[Related]:
    if built is None or built.site is None:
        return []
    given = f" with {_spelled(counts)}" if counts else ""
    return [Related(built.site, f"the schedule is built here{given}")]


def _notes(end: ScheduleEnd) -> tuple[str, ...]:
    if end.epochs:
        what = f"`{end.epochs}` is the number of epochs, and `{end.loader}` is gone through in each"
        return (f"{what}: likely the schedule was to have a step for each batch",)
    return ()


def _help(end: ScheduleEnd, built: Ancestor | None, counts: dict[str, str]) -> str:
    """The schedule built for all batches, where its number of steps is that of the epochs."""
    code = built.site.code if built is not None and built.site is not None else ""
    spelled = f"total_steps={end.epochs}"
    if not end.epochs or counts.get("total_steps") != end.epochs or code.count(spelled) != 1:
        return ""
    return code.replace(spelled, f"{spelled} * len({end.loader})")
