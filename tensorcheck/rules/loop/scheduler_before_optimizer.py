"""TCK501."""

from collections.abc import Iterator

from tensorcheck.events import SchedulerStepped, StepTaken
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule


class SchedulerBeforeOptimizer(Rule[SchedulerStepped | StepTaken]):
    """The learning-rate scheduler is stepped before the optimizer.

    ## What it does
    Finds loops whose first iteration calls `backward`, then steps the scheduler and only then the optimizer.

    ## Why it matters
    The first value of the schedule is skipped, and every later one comes a step early. A warm-up starts in its second
    step, a step schedule drops too soon.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    with tensorcheck.watch(model) as watch:
        optimizer.zero_grad()
        model(torch.rand(16, 4)).square().mean().backward()
        scheduler.step()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    with tensorcheck.watch(model) as watch:
        optimizer.zero_grad()
        model(torch.rand(16, 4)).square().mean().backward()
        optimizer.step()
        scheduler.step()
    ```

    ## Limits
    A first step that a gradient scaler skips, and an epoch that begins with the scheduler, are not this.
    """

    code = "TCK501"
    name = "scheduler-before-optimizer"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._early: SchedulerStepped | None = None

    def check(self, event: SchedulerStepped | StepTaken) -> Iterator[Finding]:
        """Follow the order of the first iteration: no `backward` lies between the two steps."""
        match event:
            case SchedulerStepped() if event.backwards and event.step == 0:
                self._early = event
            case StepTaken(step=0) if self._early is not None and event.backwards == self._early.backwards:
                yield self._finding(self._early, event)
            case _:
                pass

    def _finding(self, early: SchedulerStepped, late: StepTaken) -> Finding:
        return self.finding(
            f"`{early.kind}` steps before the first step of `{late.kind}`",
            label="steps first",
            expected="optimizer.step(), then scheduler.step()",
            got="scheduler.step(), then optimizer.step()",
            site=early.site,
            related=(Related(late.site, f"`{late.kind}` steps only here"),) if late.site is not None else (),
        )
