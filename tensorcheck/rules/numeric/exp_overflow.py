"""TCK605."""

from collections.abc import Iterator

from tensorcheck.events.numbers import NearlyOverflowed
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class ExpOverflow(Rule[NearlyOverflowed]):
    """An exponential is given numbers of which its dtype can hardly hold the result.

    ## What it does
    Looks at what `exp`, `cosh` and `sinh` of your own lines returned in the first steps: numbers that are finite still,
    and close to the largest that their dtype has.

    ## Why it matters
    `exp` of 89 is infinite in float32 and in bfloat16, and of 11.1 in float16. The model has but to become a little
    surer, and the loss is NaN. What is computed with exponentials has a form that never makes large ones.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    nn.init.constant_(model.bias, 80.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tensorcheck.watch(model) as watch:
        scores = torch.exp(model(torch.rand(8, 4)))
        chances = scores / scores.sum(1, keepdim=True)
        chances[:, 0].mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    nn.init.constant_(model.bias, 80.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tensorcheck.watch(model) as watch:
        chances = torch.softmax(model(torch.rand(8, 4)), dim=1)
        chances[:, 0].mean().backward()
        optimizer.step()
    ```

    ## Limits
    What was clamped is silent. A result that is infinite already is told of by non-finite-forward, if the loss is lost.
    """

    code = "TCK605"
    name = "exp-overflow"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: NearlyOverflowed) -> Iterator[Finding]:
        """Report the line that takes it."""
        code = short(event.site.code)
        yield self.finding(
            first_that_fits(
                f"`{code}` gives {event.highest:.1e}, and {event.dtype} ends at {_limit(event)}",
                f"`{event.function}` gives {event.highest:.1e}, and {event.dtype} ends at {_limit(event)}",
            ),
            label=f"{event.function} of {event.given:.3g}",
            expected=f"numbers far below {event.limit:.3g}, where {event.function} is infinite in {event.dtype}",
            got=f"{event.given:.3g}    {event.function} of it is {event.highest:.1e}",
            site=event.site,
            help="torch.softmax, torch.logsumexp or torch.sigmoid in place of exponentials; else (x - x.amax()).exp(), "
            "or x.clamp(max=20).exp()",
        )


def _limit(event: NearlyOverflowed) -> str:
    return "65504" if event.dtype == "float16" else "1.8e308" if event.dtype == "float64" else "3.4e38"
