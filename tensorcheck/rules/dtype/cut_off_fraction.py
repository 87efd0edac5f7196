"""TCK111."""

from collections.abc import Iterator

from tensorcheck.events.numbers import FractionsCut
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.number_words import became, written
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class CutOffFraction(Rule[FractionsCut]):
    """Ratios become integers, so that nothing but zeros is left of them.

    ## What it does
    Looks at casts to integers, and at what is written into tensors of integers, in the first steps: different numbers
    between -1 and 1, of which nearly all were cut off to 0.

    ## Why it matters
    Nothing raises. Targets, probabilities or pixels from 0 to 1 are all 0 from there on.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    noise = torch.rand(8, 4)
    with tensorcheck.watch(model) as watch:
        shares = torch.zeros(8, 4, dtype=torch.long)
        shares[:] = torch.rand(8, 4)
        rows = shares.float() + noise
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    noise = torch.rand(8, 4)
    with tensorcheck.watch(model) as watch:
        shares = torch.zeros(8, 4)
        shares[:] = torch.rand(8, 4)
        rows = shares.float() + noise
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    Values are read in the traced steps alone. Silent are `(x * bins).long()`, which numbers bins, numbers beyond 1,
    whose whole part may be what is wanted, and casts in the graph, of which TCK415 tells.
    """

    code = "TCK111"
    name = "cut-off-fraction"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: FractionsCut) -> Iterator[Finding]:
        """Say what is left of them."""
        code = short(event.site.code)
        yield self.finding(
            first_that_fits(
                f"`{code}` cuts {event.changed} of {event.count} fractions off", "fractions are cut off to 0"
            ),
            label=f"{written(event.first)} becomes {written(event.became)}",
            expected=f"numbers from {written(event.lowest)} to {written(event.highest)}, kept in {event.given}",
            got=f"{event.made}    {became(event)}",
            site=event.site,
        )
