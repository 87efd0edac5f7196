"""TCK514."""

from collections.abc import Iterator

from tensorcheck.events.passes import CounterAccumulated, MetricAccumulated
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits


class MetricNeverReset(Rule[MetricAccumulated | CounterAccumulated]):
    """A metric of one epoch still holds what it was given in the epochs before.

    ## What it does
    Finds metrics of torchmetrics that are computed at the end of two passes over the data with no `reset()` in between,
    and counters that are set to zero before the loop over epochs, added to in each, and divided by the size of one.

    ## Why it matters
    From the second epoch on the number is no longer that of the epoch: an accuracy is averaged with those of an
    untrained model, a sum that is divided by the size of one epoch grows beyond 1.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = torch.rand(16, 4)
    total = 0.0
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            for batch in rows.split(8):
                optimizer.zero_grad()
                loss = model(batch).square().mean()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
            mean = total / len(rows)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = torch.rand(16, 4)
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            total = 0.0
            for batch in rows.split(8):
                optimizer.zero_grad()
                loss = model(batch).square().mean()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
            mean = total / len(rows)
    ```

    ## Limits
    Counters are read from the source of the functions that run when the optimizer steps first. One that is divided by
    another counter, or by anything that has to do with the number of the epoch, is silent. So is a metric that is
    computed within a pass, and one that is fed by anything but a DataLoader.
    """

    code = "TCK514"
    name = "metric-never-reset"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: MetricAccumulated | CounterAccumulated) -> Iterator[Finding]:
        """Say what it holds, and where it is to be set back."""
        yield self._of_metric(event) if isinstance(event, MetricAccumulated) else self._of_counter(event)

    def _of_metric(self, event: MetricAccumulated) -> Finding:
        name = event.name or "metric"
        return self.finding(
            first_that_fits(
                f"`{name}` is computed of two passes over the data at once",
                f"`{event.kind}` is computed of two passes over the data at once",
            ),
            label=f"{event.updates} updates",
            expected=f"the {event.before} updates of this pass",
            got=f"{event.updates} updates    those of the pass before too",
            site=event.site,
            help=f"{name}.reset()    after {name}.compute(), or at the start of each epoch",
        )

    def _of_counter(self, event: CounterAccumulated) -> Finding:
        related = [Related(event.added, "it is added to here"), Related(event.site, "it is divided here")]
        return self.finding(
            first_that_fits(
                f"`{event.name}` is added up over all epochs and divided by the size of one",
                "a sum over all epochs is divided by the size of one",
            ),
            label="before all epochs",
            expected=f"`{event.name}` is 0 at the start of each epoch",
            got=f"`{event.name}` is 0 before the first epoch alone",
            site=event.zeroed,
            related=each_line_once(related, event.zeroed),
            help=f"{event.zeroed.code}    within the loop over epochs",
        )
