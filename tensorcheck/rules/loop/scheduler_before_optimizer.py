"""TCK501."""

from collections.abc import Iterator

from tensorcheck.events.optimizer import SchedulerStepped, StepTaken
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule


class SchedulerBeforeOptimizer(Rule[SchedulerStepped | StepTaken]):
    """The learning-rate scheduler is stepped before the optimizer.

    ## What it does
    Finds loops whose first iteration calls `backward`, then steps the scheduler and only then the optimizer, and loops
    in which one line steps the scheduler before the optimizer's first step and again after it: at the head of each
    epoch, or in each micro-batch of an accumulation.

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
    A first step that a gradient scaler skips is not this, nor is a schedule that is wound forward before training.
    """

    code = "TCK501"
    name = "scheduler-before-optimizer"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._early: SchedulerStepped | None = None
        self._first_step: StepTaken | None = None

    def check(self, event: SchedulerStepped | StepTaken) -> Iterator[Finding]:
        """Follow the order of the first iterations."""
        early, late = self._early, self._first_step
        match event:
            case SchedulerStepped(step=0):
                self._early = event
            case StepTaken(step=0):
                self._first_step = event
                if early is not None and early.backwards and early.backwards == event.backwards:
                    yield self._finding(early, event)
            case SchedulerStepped() if early is not None and late is not None and early.site is not None:
                if event.site == early.site and early.backwards != late.backwards:
                    yield self._finding(early, late)
                self._early = None
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
