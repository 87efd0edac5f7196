"""TCK506."""

from collections.abc import Iterator

from tensorcheck.events.schedule import ScheduleNeverStepped
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import not_called


class SchedulerNeverStepped(Rule[ScheduleNeverStepped]):
    """A learning-rate schedule is built, and nothing steps it.

    ## What it does
    At the end, looks at the schedules that were built while something was watched. Where one was never stepped although
    its optimizer was, and no file of the program calls a `step` that could be its own, it is told.

    ## Why it matters
    The learning rate stays what it was at the beginning. A warm-up never ends, or a decay never starts.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
        for epoch in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
        for epoch in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
            scheduler.step()
    ```

    ## Limits
    A program that ends before it comes to the `scheduler.step()` that it has is silent, and so is one whose training
    loop is a library's.
    """

    code = "TCK506"
    name = "scheduler-never-stepped"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ScheduleNeverStepped) -> Iterator[Finding]:
        """Report the schedule where it is built."""
        name = f"{event.name or 'scheduler'}.step()"
        steps = (Related(event.stepped, f"`{event.optimizer}` steps here"),) if event.stepped is not None else ()
        yield self.finding(
            f"`{event.kind}` is built and never stepped",
            label="never stepped",
            expected=f"{name} after the steps of `{event.optimizer}`",
            got=f"{event.steps} steps of `{event.optimizer}`, none of `{event.kind}`",
            site=event.built,
            related=(*not_called(event.uncalled), *steps),
            help=f"{event.uncalled.code}()" if event.uncalled is not None else f"{name}    at the end of each epoch",
        )
