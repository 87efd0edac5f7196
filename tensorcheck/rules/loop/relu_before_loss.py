"""TCK511."""

from collections.abc import Iterator

from tensorcheck.events.backward import Fed, LossComputed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.activations import (
    CLASSIFYING,
    LAYERS,
    places,
    titled_activation,
    without_activation,
)
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class ReluBeforeLoss(Rule[LossComputed]):
    """The last thing before the loss is a ReLU, so that no output can be negative.

    ## What it does
    Finds a classification loss that takes logits and is given what a layer's output became by a ReLU, and a regression
    loss that is given such a thing while some target is negative.

    ## Why it matters
    A logit of a ReLU can't be below zero, so no class can be called unlikely, and a class whose logit is zero gets no
    gradient any more. A negative target can't be reached, and the samples that have one soon stop to teach anything.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    labels = torch.randint(3, (16,))
    with tensorcheck.watch(model) as watch:
        nn.functional.cross_entropy(model(torch.rand(16, 4)), labels).backward()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    labels = torch.randint(3, (16,))
    with tensorcheck.watch(model) as watch:
        nn.functional.cross_entropy(model(torch.rand(16, 4)), labels).backward()
    ```

    ## Limits
    A ReLU before a pooling, as at the end of a fully convolutional network, is silent, and so is one whose result is
    multiplied by a number. Of a regression, the targets of the first batch are looked at.
    """

    code = "TCK511"
    name = "relu-before-loss"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LossComputed) -> Iterator[Finding]:
        """Ask for a ReLU after a layer, and for what it makes impossible."""
        fed = event.fed
        if fed is None or fed.by != "relu" or fed.is_scaled or fed.before not in {*LAYERS, "norm"}:
            return
        if event.function in CLASSIFYING:
            yield self._finding(event, fed, expected="logits    of either sign", got="no output below 0")
        elif event.function in _REGRESSING and event.reduction != "none" and (event.least_target or 0) < 0:
            expected = f"outputs as low as the targets    down to {event.least_target:.3g}"
            yield self._finding(event, fed, expected=expected, got="no output below 0")

    def _finding(self, event: LossComputed, fed: Fed, *, expected: str, got: str) -> Finding:
        site, related = places(event)
        return self.finding(
            first_that_fits(
                f"`{event.function}` is given the result of {titled_activation(fed)}",
                f"`{event.function}` is given the result of a {fed.by}",
            ),
            label="nothing below 0",
            expected=expected,
            got=got,
            site=site,
            module=fed.module or None,
            related=related,
            help=without_activation(fed),
        )


_REGRESSING = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
