"""TCK427."""

from collections.abc import Iterator

from tensorcheck.events.optimizer import CopyTrained
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, label_for


class StepWithoutGradients(Rule[CopyTrained]):
    """The optimizer steps on one model, and the gradients are another's.

    ## What it does
    Where none of an optimizer's parameters has a gradient in its first two steps, looks for a module of the running
    code that has one in each of its parameters, of which no optimizer holds any, and which stands still.

    ## Why it matters
    Nothing is learned: the step passes over parameters without a gradient, and says nothing. The usual cause is an
    optimizer that was given another model's parameters.

    ## Example
    ```python
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    head = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    with tensorcheck.watch(head) as watch:
        for step in range(3):
            optimizer.zero_grad()
            head(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    head = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    with tensorcheck.watch(head) as watch:
        for step in range(3):
            optimizer.zero_grad()
            head(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    A part that is idle for a while is silent, for what has gradients meanwhile is in an optimizer. A copy of the
    optimizer's own model is TCK402.
    """

    code = "TCK427"
    name = "step-without-gradients"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: CopyTrained) -> Iterator[Finding]:
        """Report the optimizer where it was built, or else where it steps."""
        if event.is_alike or event.loaded is not None:
            return
        headline = first_that_fits(
            f"`{event.kind}` steps without gradients: those of `{event.trained}` are in no optimizer",
            f"`{event.kind}` steps without gradients, and another model's are in no optimizer",
        )
        yield self.finding(
            headline,
            label=label_for(headline, f"holds {counted(event.held, 'parameter')} without a gradient"),
            expected=f"the parameters of `{event.trained}`: {event.gradients} have gradients",
            got=f"{counted(event.held, 'parameter')} of another model, none with a gradient",
            site=event.built or event.site,
            related=(Related(event.site, "it steps here"),) if event.built and event.site else (),
            help=f"{event.kind}({event.trained}.parameters(), ...)",
        )
