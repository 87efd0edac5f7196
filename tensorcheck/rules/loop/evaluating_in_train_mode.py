"""TCK504."""

from collections.abc import Iterator, Sequence

from tensorcheck.events.forward import ModeSet
from tensorcheck.events.passes import EvaluatedInTrainMode
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once, listed, not_called


class EvaluatingInTrainMode(Rule[EvaluatedInTrainMode | ModeSet]):
    """A model is evaluated while its dropout or batch normalisation is in training mode.

    ## What it does
    Finds models that have taken steps and are then called without gradients over a DataLoader that they are not trained
    on, or for a loss on other data, with dropout or batch normalisation in training mode.

    ## Why it matters
    Dropout adds noise to what is measured, and batch normalisation uses the statistics of the batch: the result depends
    on the batch size and the order. Each evaluation also moves the running statistics towards the validation data.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    held_out = torch.utils.data.DataLoader(torch.rand(16, 4), batch_size=8)
    with tensorcheck.watch(model) as watch:
        optimizer.zero_grad()
        model(torch.rand(16, 4)).square().mean().backward()
        optimizer.step()
        with torch.inference_mode():
            errors = [model(batch).square().mean() for batch in held_out]
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    held_out = torch.utils.data.DataLoader(torch.rand(16, 4), batch_size=8)
    with tensorcheck.watch(model) as watch:
        optimizer.zero_grad()
        model(torch.rand(16, 4)).square().mean().backward()
        optimizer.step()
        model.eval()
        with torch.inference_mode():
            errors = [model(batch).square().mean() for batch in held_out]
    ```

    ## Limits
    What is in training mode on purpose is silent: after `model.train()` and no step since, where a batch is given to
    the model more than once (Monte Carlo dropout), and where the result is not used (new batch statistics). So are
    samples of a generator, which no loader gave, and an evaluation without a DataLoader in a program that has some.
    """

    code = "TCK504"
    name = "evaluating-in-train-mode"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._set_to_train: Site | None = None

    def check(self, event: EvaluatedInTrainMode | ModeSet) -> Iterator[Finding]:
        """Remember where the model was put into training mode; speak of an evaluation whose result is used."""
        if isinstance(event, ModeSet):
            self._set_to_train = event.site if event.is_training else self._set_to_train
        elif event.is_result_used:
            yield self._finding(event)

    def _finding(self, event: EvaluatedInTrainMode) -> Finding:
        train = self._set_to_train
        related = [Related(train, "it is put into training mode here")] if train is not None else []
        return self.finding(
            "the model is evaluated while it is still in training mode",
            label=f"{listed(event.layers, most=2)} as in training",
            expected="model.training is False",
            got=f"model.training is True    {' and '.join(_effects(event.layers))}",
            site=event.site,
            module="",
            related=each_line_once((*not_called(event.uncalled), *related), event.site),
            help=f"{event.uncalled.code}()" if event.uncalled else _help(event.site),
        )


def _help(site: Site | None) -> str:
    """`eval` called on what the line calls."""
    name = site.code.partition("(")[0] if site is not None else ""
    owner = name if name.replace(".", "").isidentifier() else "model"
    return f"{owner}.eval()    before the evaluation, and {owner}.train() after it"


def _effects(kinds: Sequence[str]) -> Iterator[str]:
    if any("Norm" not in kind for kind in kinds):
        yield "dropout is on"
    if any("Norm" in kind for kind in kinds):
        yield "batch statistics are used and moved"
