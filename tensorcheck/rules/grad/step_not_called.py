"""TCK426."""

from collections.abc import Iterator

from tensorcheck.events.loop import StepNotCalled
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule


class StepNeverCalled(Rule[StepNotCalled]):
    """A statement names the optimizer's `step` and does not call it.

    ## What it does
    Where gradients have arrived three times and their optimizer has not stepped, searches the running functions for a
    statement that is nothing but `optimizer.step`, without parentheses.

    ## Why it matters
    Python evaluates the name and throws it away. The loop runs, the loss is printed, and no parameter ever moves.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```
    """

    code = "TCK426"
    name = "step-not-called"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: StepNotCalled) -> Iterator[Finding]:
        """Report the statement."""
        yield self.finding(
            f"`{event.kind}` never steps: its `step` is named and not called",
            label="the `()` is missing",
            expected="a step after the backward pass",
            got=f"{event.backwards} backward passes and no step",
            site=event.statement,
            related=(Related(event.site, "the gradients that wait arrive here"),) if event.site is not None else (),
            help=f"{event.statement.code}()",
        )
