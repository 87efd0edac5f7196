"""TCK001."""

from collections.abc import Iterator

from tensorcheck.events.internal import ProbeFailed
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule


class InternalFault(Rule[ProbeFailed]):
    """Something of tensorcheck's own raised.

    ## What it does
    Reports that a probe or a rule raised an exception of its own. It was caught, the training went on, and that part is
    off for the rest of the run.

    ## Why it matters
    What that part looks for is not found in this run: the report is less complete than it could be. Your code is not at
    fault.

    ## Example
    A rule that raises, here one that was broken on purpose:

    ```python
    from tensorcheck.rules.shape.loss_broadcast import LossBroadcast

    sound = LossBroadcast.check
    LossBroadcast.check = lambda rule, event: 1 / 0
    model = nn.Linear(4, 1)
    try:
        with tensorcheck.watch(model) as watch:
            nn.MSELoss()(model(torch.zeros(8, 4)), torch.zeros(8, 1)).backward()
    finally:
        LossBroadcast.check = sound
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    with tensorcheck.watch(model) as watch:
        nn.MSELoss()(model(torch.zeros(8, 4)), torch.zeros(8, 1)).backward()
    ```
    """

    code = "TCK001"
    name = "internal-fault"
    severity = Severity.INFO
    since = "0.1.0"

    def check(self, event: ProbeFailed) -> Iterator[Finding]:
        """Pass the traceback on."""
        yield self.finding(
            headline=f"tensorcheck's `{event.part}` raised and was switched off",
            module=event.part,
            notes=(event.traceback.strip(),),
        )
