"""TCK109."""

from collections.abc import Iterator

from tensorcheck.events.numbers import CastOverflowed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.number_words import became, limits, written
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class CastOverflows(Rule[CastOverflowed]):
    """A cast gives values that do not fit into the dtype that they are cast to.

    ## What it does
    Looks at the casts of the first steps: to `uint8`, `int8`, `int16`, `int32` or `float16`, of values outside of their
    range.

    ## Why it matters
    Nothing raises. Integers lose their upper bits, so that 300 becomes 44 and -1 becomes 255; real numbers may become
    anything as integers, and infinite in half precision.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    counts = torch.rand(8, 4) * 100 + 100
    with tensorcheck.watch(model) as watch:
        rows = torch.round(counts).to(torch.int8).float()
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    counts = torch.rand(8, 4) * 100 + 100
    with tensorcheck.watch(model) as watch:
        rows = torch.round(counts).to(torch.int16).float()
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    Values are read in the traced steps alone. What is prepared before the model exists is not seen. A large negative
    number that becomes -inf in half precision is taken for a mask, and bits that are shifted or masked for meant.
    """

    code = "TCK109"
    name = "cast-overflows"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: CastOverflowed) -> Iterator[Finding]:
        """Say what became of the values."""
        code = short(event.site.code)
        yield self.finding(
            first_that_fits(
                f"`{code}` does not hold values up to {written(_furthest(event))}",
                f"{event.made} does not hold values up to {written(_furthest(event))}",
            ),
            label=f"overflows {event.made}",
            expected=f"values from {limits(event.made)}",
            got=f"values from {written(event.lowest)} to {written(event.highest)}    {became(event)}",
            site=event.site,
        )


def _furthest(event: CastOverflowed) -> float:
    """The end of their range that is further away."""
    return event.lowest if abs(event.lowest) > abs(event.highest) else event.highest
