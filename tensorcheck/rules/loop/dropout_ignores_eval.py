"""TCK505."""

from collections.abc import Iterator

from tensorcheck.events.forward import DroppedInEvaluation
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class DropoutIgnoresEval(Rule[DroppedInEvaluation]):
    """A functional dropout goes on in evaluation mode, for nobody told it of the mode.

    ## What it does
    Finds `torch.nn.functional.dropout` and its kin that are called without `training=`, and
    `scaled_dot_product_attention` with a `dropout_p` above zero, in a module that is in evaluation mode.

    ## Why it matters
    A function knows nothing of `model.eval()`: without `training=` it drops always. Evaluations are noisy and worse
    than the model is, and the same input gives another prediction each time.

    ## Example
    ```python
    class Digits(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows):
            return self.head(nn.functional.dropout(rows, 0.2))

    model = Digits().eval()
    with tensorcheck.watch(model) as watch, torch.no_grad():
        model(torch.rand(16, 4))
    ```

    ## Use instead
    ```python
    class Digits(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows):
            return self.head(nn.functional.dropout(rows, 0.2, training=self.training))

    model = Digits().eval()
    with tensorcheck.watch(model) as watch, torch.no_grad():
        model(torch.rand(16, 4))
    ```

    ## Limits
    A call that says `training=True`, as Monte Carlo dropout does, is meant. Evaluations are looked at in traced steps,
    of which the first after a switch of mode is one.
    """

    code = "TCK505"
    name = "dropout-ignores-eval"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: DroppedInEvaluation) -> Iterator[Finding]:
        """Each such call is one."""
        owner = f"`{event.module or event.kind}`"
        yield self.finding(
            first_that_fits(
                f"`{event.function}` drops out while {owner} is in evaluation mode",
                f"`{event.function}` drops out in evaluation mode",
            ),
            label="drops out always",
            expected="no dropout    self.training is False",
            got=f"dropout with p={event.probability:g}",
            site=event.site,
            module=event.module,
            help=_help(event),
        )


def _help(event: DroppedInEvaluation) -> str:
    """The call with the mode of its module."""
    code = event.site.code
    if event.function == "scaled_dot_product_attention":
        return f"dropout_p={event.probability:g} if self.training else 0.0"
    return f"{code[:-1].rstrip().rstrip(',')}, training=self.training)" if code.endswith(")") else ""
