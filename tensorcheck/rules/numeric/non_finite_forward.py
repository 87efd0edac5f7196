"""TCK601."""

import math
from collections.abc import Iterator

from tensorcheck.events.numeric import Made, NumbersLost, ZeroMet
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.safe_numbers import safer
from tensorcheck.rule import Rule

_LARGE = 1e6
"""Numbers beyond this are likely the end of a divergence."""


class NonFiniteForward(Rule[NumbersLost | ZeroMet]):
    """An operation of the forward pass or of the loss gave NaN or infinity, and the weights were updated with it.

    ## What it does
    Looks at the loss before each `backward`. At the first that is not finite it reads what autograd has saved of this
    very step, and names the first operation that made such a value of finite ones, with what its inputs were. It is
    reported when an optimizer steps.

    ## Why it matters
    From that step on all weights are NaN, as a rule, and stay so. Hundreds of steps may have gone well before; looked
    at afterwards, every layer gives NaN and none tells where it began.

    ## Example
    ```python
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        optimizer.zero_grad()
        loss = -torch.log(model(torch.randn(8, 4))).mean()
        loss.backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 2), nn.Softplus())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        optimizer.zero_grad()
        loss = -torch.log(model(torch.randn(8, 4))).mean()
        loss.backward()
        optimizer.step()
    ```

    ## Limits
    On an accelerator only traced steps are looked at, for reading a loss makes the program wait. NaN that comes with
    the data has no operation that made it. A step that a gradient scaler, or the code itself, leaves out is silent.
    """

    code = "TCK601"
    name = "non-finite-forward"
    severity = Severity.ERROR
    since = "0.1.0"

    def __init__(self) -> None:
        self._is_told = False

    def check(self, event: NumbersLost | ZeroMet) -> Iterator[Finding]:
        """Report the operation that began it, if it was not one before the model."""
        if isinstance(event, ZeroMet):
            self._is_told = self._is_told or event.is_lost
        elif event.where == "forward" and not self._is_told:
            made = event.made
            site = made.site or event.backward
            yield self.finding(
                f"`{made.name}` made the loss {_spelled(event.loss)} in step {event.step}",
                label="no finite number from here",
                expected="finite numbers",
                got="; ".join(f"{each.name}: {each}" for each in made.ranges) or _spelled(event.loss),
                site=site,
                module=made.module if made.site is not None else None,
                related=_backward(event),
                notes=tuple(_notes(made)),
                help=safer(made.node),
            )


def _spelled(loss: float) -> str:
    return "NaN" if math.isnan(loss) else f"{loss}"


def _backward(event: NumbersLost) -> tuple[Related, ...]:
    if event.backward is None or event.made.site is None or event.made.site.line == event.backward.line:
        return ()
    return (Related(event.backward, "`backward` spreads it over the weights from here"),)


def _notes(made: Made) -> Iterator[str]:
    ends = [abs(end) for each in made.ranges for end in (each.values.lowest, each.values.highest) if end is not None]
    if max(ends, default=0.0) > _LARGE:
        yield "the numbers had become large: likely the training diverged, and a smaller learning rate is the cure"
