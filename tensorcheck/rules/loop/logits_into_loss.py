"""TCK510."""

from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.backward import Fed, LossComputed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.activations import LAYERS, activation_site, titled_activation, without_activation
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once, first_that_fits


class LogitsIntoLoss(Rule[LossComputed]):
    """A loss that takes probabilities, or their logarithms, is given the raw output of a layer.

    ## What it does
    Finds `nll_loss` and `kl_div` of what comes straight out of a linear or convolutional layer, or out of a `softmax`
    without its logarithm, and `binary_cross_entropy` of a layer's output that was clamped in place of a sigmoid.

    ## Why it matters
    Nothing raises. The negative log-likelihood of a raw output has no lower bound: the loss falls for ever, below zero,
    while the output grows. A clamped output has no gradient wherever it was clamped, so wrong predictions stay wrong.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    labels = torch.randint(3, (16,))
    with tensorcheck.watch(model) as watch:
        nn.functional.nll_loss(model(torch.rand(16, 4)), labels).backward()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    labels = torch.randint(3, (16,))
    with tensorcheck.watch(model) as watch:
        nn.functional.cross_entropy(model(torch.rand(16, 4)), labels).backward()
    ```

    ## Limits
    Log-probabilities that are computed by hand, as a difference from `logsumexp`, as the logarithm of a mixture or as a
    product with a matrix of them, are silent. A `binary_cross_entropy` of logits raises and is explained as a crash.
    """

    code = "TCK510"
    name = "logits-into-loss"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: LossComputed) -> Iterator[Finding]:
        """Compare what the input came out of with what the loss takes."""
        fed = event.fed
        if fed is None or fed.is_scaled:
            return
        if event.function in _LOG_LOSSES and fed.by in LAYERS:
            yield self._finding(event, fed, got="logits    they have no bounds")
        elif event.function in _LOG_LOSSES and fed.by == "softmax":
            yield replace(
                self._finding(event, fed, got="probabilities    without logarithm"), severity=Severity.WARNING
            )
        elif event.function == "binary_cross_entropy" and fed.by == "clamp" and fed.before in LAYERS:
            yield replace(self._finding(event, fed, got="clamped logits    no sigmoid"), severity=Severity.WARNING)

    def _finding(self, event: LossComputed, fed: Fed, *, got: str) -> Finding:
        made = activation_site(fed) if fed.by == "clamp" else None
        return self.finding(
            first_that_fits(f"`{event.function}` is given {_of(fed)}", f"`{event.function}` is given no probabilities"),
            label=got.partition("    ")[0],
            expected=_EXPECTED[event.function],
            got=got,
            site=made or event.site,
            module=fed.module or None,
            related=_related(event, fed, made),
            help=_help(event, fed),
        )


_LOG_LOSSES = ("nll_loss", "kl_div")
_EXPECTED = {
    "nll_loss": "log-probabilities    log_softmax of the logits",
    "kl_div": "log-probabilities    log_softmax of the logits",
    "binary_cross_entropy": "probabilities    sigmoid of the logits",
}


def _of(fed: Fed) -> str:
    """What the loss was given, in the words of its user."""
    if fed.by in LAYERS:
        return f"the raw output of `{fed.module}` ({fed.kind})" if fed.module else "the raw output of a layer"
    return f"the result of {titled_activation(fed)}"


def _related(event: LossComputed, fed: Fed, made: Site | None) -> tuple[Related, ...]:
    shown = made or event.site
    others = [(event.site, "the loss is computed of it here"), (fed.site, f"{_of(fed)} is computed here")]
    return each_line_once([Related(site, note) for site, note in others if site is not None], shown)


def _help(event: LossComputed, fed: Fed) -> str:
    code = event.site.code if event.site is not None else ""
    if event.function == "nll_loss" and fed.by in LAYERS:
        return _with_cross_entropy(code)
    if event.function == "binary_cross_entropy":
        given = without_activation(fed)
        return f"torch.sigmoid({given})" if given else ""
    if fed.by in LAYERS and event.input.site is not None:
        given = event.input.spelled
        return code.replace(given, f"torch.log_softmax({given}, dim=-1)", 1)
    given = without_activation(fed)
    return f"torch.log_softmax({given}, dim=-1)" if given and fed.built is None else ""


def _with_cross_entropy(code: str) -> str:
    """The loss that takes logits in the place of the one that does not."""
    if "nll_loss" in code:
        return code.replace("nll_loss", "cross_entropy", 1)
    if "NLLLoss" in code:
        return code.replace("NLLLoss", "CrossEntropyLoss", 1)
    name = code.partition("(")[0]
    return f"{name} = nn.CrossEntropyLoss()" if name.replace(".", "").isidentifier() else ""
