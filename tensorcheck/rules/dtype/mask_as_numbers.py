"""TCK114."""

from collections.abc import Iterator

from tensorcheck.events.numbers import MaskInverted
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.number_words import became, written
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class MaskAsNumbers(Rule[MaskInverted]):
    """A mask of integers is inverted with `~`, which inverts each of their bits.

    ## What it does
    Looks at `~` of integers that are all 0 or 1 in the first steps: as a mask of booleans would be, but of `uint8`,
    `int32` or `int64`.

    ## Why it matters
    Nothing raises. `~` makes -1 and -2 of 0 and 1, or 255 and 254: no value is 0, so that everything counts as masked,
    and what is multiplied by it changes its sign.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    padding = torch.tensor([0, 0, 0, 1])
    with tensorcheck.watch(model) as watch:
        rows = torch.rand(8, 4) * ~padding
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    padding = torch.tensor([0, 0, 0, 1])
    with tensorcheck.watch(model) as watch:
        rows = torch.rand(8, 4) * ~padding.bool()
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    Values are read in the traced steps alone, and masks need at least four values, both kinds among them.
    """

    code = "TCK114"
    name = "mask-as-numbers"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: MaskInverted) -> Iterator[Finding]:
        """Say what `~` made of the mask."""
        code = short(event.site.code)
        ones = -2 if not event.made.startswith("u") else 254
        yield self.finding(
            first_that_fits(
                f"`{code}` makes {written(ones)} and {written(ones + 1)} of a mask of 0 and 1",
                f"a mask of 0 and 1 becomes {written(ones)} and {written(ones + 1)}",
            ),
            label=f"~ of {event.made}",
            expected="a mask of bool",
            got=f"a mask of {event.given}    {became(event)}",
            site=event.site,
            help=f"{code}.bool()" if code.startswith("~") and code[1:].isidentifier() else "",
        )
