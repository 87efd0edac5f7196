"""TCK404."""

from collections.abc import Iterator

from tensorcheck.events.backward import ZeroedElsewhere
from tensorcheck.events.optimizer import StepTaken
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import not_called

_STEPS_TO_BE_SURE = 2


class GradientsCarriedOver(Rule[StepTaken | ZeroedElsewhere]):
    """Gradients are not zeroed between steps, so each step repeats all the steps before it.

    ## What it does
    Finds optimizers that stepped, and then stepped again with gradients that were added to the old ones. No value is
    read: a gradient that is the same tensor, unchanged since the step, and then grows in `backward`, was not zeroed.

    ## Why it matters
    PyTorch adds new gradients to those that are there. Without `zero_grad` every step moves along the sum of all
    gradients since the start, which looks like a learning rate that grows until the loss explodes.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    Gradient accumulation, where several `backward` calls come before one step, is not this. Two steps in a row must
    show it.
    """

    code = "TCK404"
    name = "gradients-carried-over"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._elsewhere: Site | None = None

    def check(self, event: StepTaken | ZeroedElsewhere) -> Iterator[Finding]:
        """Speak when enough steps in a row carried gradients over."""
        if isinstance(event, ZeroedElsewhere):
            self._elsewhere = event.site
        elif event.gradients_carried >= _STEPS_TO_BE_SURE:
            yield self.finding(
                "the gradients of each step are added to those of the steps before",
                label="steps along a sum of gradients",
                expected="gradients of this step alone",
                got="gradients of this step added to those of the steps before",
                site=event.site,
                related=tuple(self._related(event)),
                help=_help(event),
            )

    def _related(self, event: StepTaken) -> Iterator[Related]:
        yield from not_called(event.uncalled)
        if event.zeroed is not None:
            yield Related(event.zeroed, "the gradients are zeroed here, but not in each step")
        elif self._elsewhere is not None:
            yield Related(self._elsewhere, "this zeroes the gradients of another model")


def _help(event: StepTaken) -> str:
    if event.uncalled is not None:
        return f"{event.uncalled.code}()"
    return f"{event.optimizer or 'optimizer'}.zero_grad()    before each backward, or after each step"
