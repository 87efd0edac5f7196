"""TCK308."""

from collections.abc import Iterator

from tensorcheck.events.placing import Dropped, ResultDropped
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class ToResultDropped(Rule[ResultDropped]):
    """The result of `to`, `cuda` or `float` of a tensor is dropped, so the tensor stays what it was.

    ## What it does
    Finds lines that convert a tensor and keep nothing of it: `rows.to(device)` as a statement, in a list that has no
    name, or given to the name of a loop.

    ## Why it matters
    `to` moves a module in place, but of a tensor it makes another one. Without an accelerator nothing shows; on one,
    the tensor is still on the CPU where the model meets it. A dropped `float()` or `long()` leaves the dtype as it was.

    ## Example
    ```python
    device = torch.device("cpu")
    model = nn.Linear(4, 1).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        rows = torch.rand(8, 4)
        rows.to(device)
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    device = torch.device("cpu")
    model = nn.Linear(4, 1).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        rows = torch.rand(8, 4)
        rows = rows.to(device)
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    Told of when a step is taken. What ran before the traced steps is known where it stands in a function that still
    runs, and has a name that stands for the same tensor. What stands in a `try`, or is timed, is left alone.
    """

    code = "TCK308"
    name = "to-result-dropped"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ResultDropped) -> Iterator[Finding]:
        """Say what stays as it was."""
        call, name = short(event.site.code), short(event.name)
        kept = _HEADLINES[event.how]
        yield self.finding(
            first_that_fits(f"`{call}` {kept}: `{name}` stays as it was", f"`{call}` {kept}", f"a conversion {kept}"),
            label="the result is dropped",
            expected="the result kept, for it is another tensor",
            got=f"`{name}` is {event.meta} before and after",
            site=event.site,
            help=f"{event.name} = {event.site.code}" if event.how == "statement" else "",
        )


_HEADLINES: dict[Dropped, str] = {
    "statement": "is dropped",
    "list": "is put into a list that is dropped",
    "name": "is given to the loop's own name alone",
}
