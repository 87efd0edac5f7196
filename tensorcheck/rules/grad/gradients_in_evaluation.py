"""TCK429."""

from collections.abc import Iterator

from tensorcheck.events.forward import EvaluatedWithGradients
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule


class GradientsInEvaluation(Rule[EvaluatedWithGradients]):
    """The model is evaluated with gradients tracked, and nothing is differentiated.

    ## What it does
    Counts the calls of the model in evaluation mode whose output wants a gradient. Three and more in a row, with no
    `backward` and no `autograd.grad` before the model is trained again or the run ends, are told.

    ## Why it matters
    The result is the same. But each call keeps what its backward pass would need, for as long as the output lives: more
    time, and several times the memory.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    with tensorcheck.watch(model) as watch:
        model.eval()
        for batch in torch.rand(4, 16, 4):
            model(batch).argmax(1)
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    with tensorcheck.watch(model) as watch:
        model.eval()
        with torch.inference_mode():
            for batch in torch.rand(4, 16, 4):
                model(batch).argmax(1)
    ```

    ## Limits
    An evaluation without `model.eval()` can't be told from training and is silent.
    """

    code = "TCK429"
    name = "gradients-in-evaluation"
    severity = Severity.INFO
    since = "0.1.0"

    def check(self, event: EvaluatedWithGradients) -> Iterator[Finding]:
        """Report the call."""
        yield self.finding(
            f"`{event.kind}` is evaluated with gradients tracked that nothing uses",
            label="tracks gradients",
            expected="gradients off in evaluation",
            got=f"{event.calls} calls in evaluation mode whose output wants a gradient, and no backward",
            site=event.site,
            module="",
            help="with torch.inference_mode():    around the evaluation",
        )
