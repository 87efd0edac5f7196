"""TCK608."""

from collections.abc import Iterator

from tensorcheck.events.numeric import UnitsDead
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits


class DeadRelu(Rule[UnitsDead]):
    """Nearly all units of a layer are below zero for every sample, and the ReLU behind it returns nothing but zeros.

    ## What it does
    Looks at what each ReLU that follows a layer was given in the first three steps: at least nine tenths of the units
    were negative for each sample of each batch, from the start or since a step of the optimizer.

    ## Why it matters
    Where a ReLU is shut its gradient is zero. A unit that is shut for every sample never learns again, and neither does
    what lies before it. Nothing raises: the loss goes on falling a little, by the layers behind.

    ## Example
    ```python
    hidden = nn.Linear(4, 32)
    nn.init.constant_(hidden.bias, -5.0)
    model = nn.Sequential(hidden, nn.ReLU(), nn.Linear(32, 2))
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
    nn.init.zeros_(hidden.bias)
    model = nn.Sequential(hidden, nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    Layers of at least 8 units are looked at, with at least 8 samples, and in the first steps alone. Units that are
    exactly zero are silent, for a layer may begin at zero on purpose, and so is a sparse code: of more than 256 units
    all have to be dead from the start.
    """

    code = "TCK608"
    name = "dead-relu"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: UnitsDead) -> Iterator[Finding]:
        """Report it where the layer was built, or where the optimizer was that shut it."""
        shut_by_step = event.since > 0
        is_low = event.bias is not None and event.bias < -_FAR
        written = event.built if shut_by_step else event.written if is_low else None
        site = written or event.site or event.used
        places = [(event.site, "the layer is built here"), (event.used, f"`{event.function}` is called here")]
        share = f"{event.dead} of {event.units}"
        layer = f"`{event.module}`" if event.module else f"the {event.kind or 'layer'}"
        yield self.finding(
            first_that_fits(
                f"{share} units of {layer} are zero for every sample behind its {event.function}",
                f"{share} units are zero for every sample behind a {event.function}",
            ),
            label="shuts the units" if shut_by_step else "below zero for every sample",
            expected="units that are above zero for some of the samples",
            got=f"{share} are negative for all {event.samples} samples    "
            f"{f'since step {event.since}' if shut_by_step else 'from the first step on'}",
            site=site,
            module=event.module or None,
            related=each_line_once([Related(at, note) for at, note in places if at is not None], site) if site else (),
            notes=_notes(event),
            help="a learning rate that is ten times smaller" if shut_by_step else "",
        )


_FAR = 1.0


def _notes(event: UnitsDead) -> tuple[str, ...]:
    if event.since > 0:
        return ("they were alive in the first step: the steps of the optimizer are likely too large",)
    is_low = event.bias is not None and event.bias < -_FAR
    return (f"its bias is {event.bias:.3g} on average",) if is_low else ()
