"""TCK110."""

from collections.abc import Iterator

from tensorcheck.events.numbers import IntegersWrapped
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.number_words import became, limits, written
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class IntegerWraps(Rule[IntegersWrapped]):
    """Arithmetic of small integers leaves their range and comes in at its other end.

    ## What it does
    Looks at the sums, differences, products and negations of `uint8`, `int8` and `int16` in the first steps, and
    computes them once more in `int64`: some came out different.

    ## Why it matters
    Nothing raises. 100 - 128 of an image is 228, so that what was dark becomes bright, and a sum of bytes starts
    again from 0 after 255.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    image = torch.arange(100, 132, dtype=torch.uint8).view(8, 4)
    with tensorcheck.watch(model) as watch:
        rows = (image - 128).float() / 128
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    image = torch.arange(100, 132, dtype=torch.uint8).view(8, 4)
    with tensorcheck.watch(model) as watch:
        rows = (image.float() - 128) / 128
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    Values are read in the traced steps alone. `int32` and `int64` are left alone, for hashes wrap on purpose.
    """

    code = "TCK110"
    name = "integer-wraps"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: IntegersWrapped) -> Iterator[Finding]:
        """Say what came out, and what should have."""
        code = short(event.site.code)
        yield self.finding(
            first_that_fits(
                f"`{code}` wraps: {written(event.first)} became {written(event.became)}",
                f"{event.made} wraps: {written(event.first)} became {written(event.became)}",
            ),
            label=f"wraps in {event.made}",
            expected=f"from {written(event.lowest)} to {written(event.highest)}, as computed in int64",
            got=f"{event.made} holds {limits(event.made)}    {became(event)}",
            site=event.site,
        )
