"""TCK609."""

from collections.abc import Iterator

from tensorcheck.events.numeric import ActivationSaturated
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits


class SaturatedActivation(Rule[ActivationSaturated]):
    """A sigmoid or a tanh between two layers returns nearly nothing but its two limits, where its gradient is zero.

    ## What it does
    Looks at what each `sigmoid` and `tanh` that stands between two layers returned in the first three steps: at four
    fifths of the values, at both ends, its slope is below 0.001.

    ## Why it matters
    What lies before it gets a thousandth of the gradient or none, and hardly learns. The usual reasons are weights that
    were drawn too large, and inputs that are far from 1.

    ## Example
    ```python
    hidden = nn.Linear(4, 32)
    nn.init.normal_(hidden.weight, std=100.0)
    model = nn.Sequential(hidden, nn.Tanh(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    hidden = nn.Linear(4, 32)
    nn.init.xavier_normal_(hidden.weight)
    model = nn.Sequential(hidden, nn.Tanh(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    A gate that is open or shut is silent, being at one end alone, and so is what goes to the loss and to no other
    layer: a model may be sure of its answer. Where the data itself is large, that is what is said.
    """

    code = "TCK609"
    name = "saturated-activation"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ActivationSaturated) -> Iterator[Finding]:
        """Report it where the layer was built."""
        site = event.written or event.site or event.used
        places = [(event.site, "the layer is built here"), (event.used, f"`{event.function}` is called here")]
        yield self.finding(
            first_that_fits(
                f"`{event.function}` of `{event.module}` is at its limits for {event.share:.0%} of the values",
                f"a {event.function} is at its limits for {event.share:.0%} of the values",
            )
            if event.module
            else f"a {event.function} is at its limits for {event.share:.0%} of the values",
            label="too large for what follows",
            expected=f"values from about -3 to 3 into `{event.function}`",
            got=f"{event.lowest:.3g} to {event.highest:.3g}    {event.share:.0%} of them where it is flat",
            site=site,
            module=event.module or None,
            related=each_line_once([Related(at, note) for at, note in places if at is not None], site) if site else (),
        )
