"""TCK509."""

from collections.abc import Iterator

from tensorcheck.events.backward import Fed, LossComputed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.activations import LOGIT_LOSSES, places, titled_activation, without_activation
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class SoftmaxBeforeLoss(Rule[LossComputed]):
    """A loss that takes logits is given what went through a softmax or a sigmoid already.

    ## What it does
    Finds `cross_entropy` of a `softmax`, a `log_softmax` or a `sigmoid`, and `binary_cross_entropy_with_logits` of a
    `sigmoid` or a `softmax`, with views, casts, an index, a dropout or a temperature in between.

    ## Why it matters
    The loss has that activation inside. Applied twice, the probabilities are squeezed into a small range: with ten
    classes the loss can't fall below 1.46, its gradients are small, and the model learns slowly or stops early. A
    `log_softmax` twice changes no number, but whoever reads the output as logits is wrong.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    labels = torch.randint(3, (16,))
    with tensorcheck.watch(model) as watch:
        nn.functional.cross_entropy(model(torch.rand(16, 4)), labels).backward()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 3))
    labels = torch.randint(3, (16,))
    with tensorcheck.watch(model) as watch:
        nn.functional.cross_entropy(model(torch.rand(16, 4)), labels).backward()
    ```

    ## Limits
    It is read from the graph of gradients, so an evaluation and a compiled model show nothing. A sum or a difference
    after the activation, or a layer, makes new logits and is silent, as is a softmax that is written out by hand.
    """

    code = "TCK509"
    name = "softmax-before-loss"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LossComputed) -> Iterator[Finding]:
        """Compare what the input came out of with what the loss does itself."""
        fed, inside = event.fed, LOGIT_LOSSES.get(event.function)
        if fed is None or inside is None or fed.by not in _TOO_MUCH or (fed.is_scaled and fed.by == "sigmoid"):
            return
        site, related = places(event)
        yield self.finding(
            first_that_fits(
                f"`{event.function}` is given the result of {titled_activation(fed)}",
                f"`{event.function}` is given the result of a {fed.by}",
            ),
            label=f"applied before {_short(event.function)}",
            expected=f"logits    `{event.function}` applies {inside} itself",
            got=_got(fed),
            site=site,
            module=fed.module or None,
            related=related,
            notes=_notes(fed),
            help=without_activation(fed),
        )


_TOO_MUCH = frozenset({"softmax", "log_softmax", "sigmoid"})
_GOT = {
    "softmax": "probabilities    they sum to 1",
    "log_softmax": "log-probabilities",
    "sigmoid": "probabilities    between 0 and 1",
}


def _got(fed: Fed) -> str:
    return _GOT[fed.by]


def _short(function: str) -> str:
    return "the loss" if len(function) > len("cross_entropy") else function


def _notes(fed: Fed) -> tuple[str, ...]:
    if fed.by == "log_softmax":
        return ("a second log_softmax changes no value; `nll_loss` takes log-probabilities as they are",)
    return ("for predictions the activation is needed still: apply it there, outside of the loss",)
