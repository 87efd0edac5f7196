"""TCK602."""

from collections.abc import Iterator

from tensorcheck.events.numeric import NumbersLost
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.safe_numbers import safer
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class NonFiniteGradient(Rule[NumbersLost]):
    """The gradient of an operation is infinite where it stood, and the weights were updated with NaN.

    ## What it does
    Where the graph of a loss has functions with an infinite gradient somewhere (`sqrt`, `log` and a power below one at
    0, a quotient by 0, `exp` beyond its range, `acos` at 1), looks before each `backward` whether a value
    stands exactly there. It is reported when an optimizer then steps with a gradient that is not finite.

    ## Why it matters
    The loss was a fine number. `torch.where` hides it best: what it did not select gets a gradient of zero, and zero
    times infinity is NaN. In the next step each weight that it reached is NaN, and stays so.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        optimizer.zero_grad()
        out = model(torch.randn(8, 4))
        distance = (out - out.detach()).square().sum(1).sqrt()
        (distance.mean() + out.square().mean()).backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        optimizer.zero_grad()
        out = model(torch.randn(8, 4))
        distance = ((out - out.detach()).square().sum(1) + 1e-8).sqrt()
        (distance.mean() + out.square().mean()).backward()
        optimizer.step()
    ```

    ## Limits
    As those of TCK601. A gradient that overflows on its way, with no such value in the graph, is not found here.
    """

    code = "TCK602"
    name = "non-finite-gradient"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: NumbersLost) -> Iterator[Finding]:
        """Report the operation that began it."""
        if event.where == "backward":
            made, step = event.made, event.step
            yield self.finding(
                first_that_fits(
                    f"the gradient of `{made.name}` is not finite in step {step}, and the loss is {event.loss:.3g}",
                    f"the gradient of an operation is not finite in step {step}",
                ),
                label="has an infinite gradient here",
                expected="finite gradients",
                got="; ".join(f"{each.name}: {each}" for each in made.ranges),
                site=made.site or event.backward,
                module=made.module if made.site is not None else None,
                related=_backward(event),
                notes=(
                    "`torch.where` after it does not help: zero times infinity is NaN; make its input safe before it",
                ),
                help=safer(made.node),
            )


def _backward(event: NumbersLost) -> tuple[Related, ...]:
    if event.backward is None or event.made.site is None or event.made.site.line == event.backward.line:
        return ()
    return (Related(event.backward, "`backward` makes it here"),)
