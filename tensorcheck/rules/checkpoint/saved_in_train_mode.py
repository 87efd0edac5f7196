"""TCK811."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import TrainingModeSaved
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, each_line_once, first_that_fits, short


class SavedInTrainMode(Rule[TrainingModeSaved]):
    """A model is traced or exported in training mode and saved, and stays in that mode wherever it is loaded.

    ## What it does
    Finds a `torch.jit.trace` or `torch.export.export` of a model in training mode whose operations drop out or
    normalise with the statistics of the batch, where the result is saved.

    ## Why it matters
    What is recorded is what ran. `eval()` of the loaded program switches nothing off: it answers another time with
    another number, and a sample's answer depends on the rest of its batch.

    ## Example
    ```python
    import io, warnings

    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    with tensorcheck.watch(model) as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, torch.rand(2, 4), check_trace=False)
        torch.jit.save(traced, io.BytesIO())
    ```

    ## Use instead
    ```python
    import io, warnings

    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    with tensorcheck.watch(model) as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.eval()
        traced = torch.jit.trace(model, torch.rand(2, 4), check_trace=False)
        torch.jit.save(traced, io.BytesIO())
    ```

    ## Limits
    A model that `torch.jit.script` made, and one that `torch.save` wrote whole, can be switched after they are loaded.
    """

    code = "TCK811"
    name = "saved-in-train-mode"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: TrainingModeSaved) -> Iterator[Finding]:
        """Say what stays on."""
        model = short(event.model or "the model")
        parts = [counted(event.dropouts, "dropout")] if event.dropouts else []
        parts += [counted(event.norms, "batch normalisation")] if event.norms else []
        site = event.traced or event.site
        saved = (Related(event.site, "the result is saved here"),) if event.site is not None else ()
        yield self.finding(
            first_that_fits(
                f"`{model}` is recorded in training mode, which no eval() switches off later",
                "a model is recorded in training mode, which no eval() switches off later",
            ),
            label=f"with {' and '.join(parts)} as in training",
            expected=f"`{model}` in evaluation mode",
            got=f"training mode    {' and '.join(parts)}",
            site=site,
            related=each_line_once(saved, site),
            help=f"call {event.model}.eval() before this line" if event.model.isidentifier() else "",
        )
