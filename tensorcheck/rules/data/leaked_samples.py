"""TCK712."""

from collections.abc import Iterator

from tensorcheck.events.passes import SamplesLeaked
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.validation_names import is_used_as_validation, is_validation
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class LeakedSamples(Rule[SamplesLeaked]):
    """Samples that the model is trained on are in the validation as well.

    ## What it does
    Compares what a model is evaluated on with what it was trained on last: by the places in one dataset where both are
    parts of it, else by the values of the samples, each looked at once.

    ## Why it matters
    The model is measured in part on what it has learned by heart: the number is too good, overfitting can't be seen,
    and the checkpoint that is kept is the one that remembers most. Two splits with different seeds, ranges that
    overlap, and samples that were doubled before the split all do this.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = torch.utils.data.TensorDataset(torch.rand(48, 4))
    train_set = torch.utils.data.Subset(rows, range(36))
    val_set = torch.utils.data.Subset(rows, range(24, 48))
    train_loader = torch.utils.data.DataLoader(train_set, batch_size=12, shuffle=True)
    val_loader = torch.utils.data.DataLoader(val_set, batch_size=12)
    with tensorcheck.watch(model) as watch:
        for (batch,) in train_loader:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            for (batch,) in val_loader:
                error = model(batch).square().mean()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = torch.utils.data.TensorDataset(torch.rand(48, 4))
    train_set = torch.utils.data.Subset(rows, range(36))
    val_set = torch.utils.data.Subset(rows, range(36, 48))
    train_loader = torch.utils.data.DataLoader(train_set, batch_size=12, shuffle=True)
    val_loader = torch.utils.data.DataLoader(val_set, batch_size=12)
    with tensorcheck.watch(model) as watch:
        for (batch,) in train_loader:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            for (batch,) in val_loader:
                error = model(batch).square().mean()
    ```

    ## Limits
    Data that holds all of what is trained on, or nothing else, is evaluated for many reasons: there the code has to
    call it a validation or a test. Samples that random augmentation made different are only known by their places in
    one dataset. Small integers that come again by chance are silent.
    """

    code = "TCK712"
    name = "leaked-samples"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: SamplesLeaked) -> Iterator[Finding]:
        """Ask what the code calls it, unless the two overlap as nobody would want them to."""
        owner = event.loader[-1] if event.loader else ""
        most = event.samples if event.by_index else _ALL * event.samples  # a training may drop its last batch
        is_overlap = event.shared < most and event.of_training < _ALL
        is_used_so = is_overlap or is_used_as_validation(event.results, event.functions)
        if is_validation(owner) or (event.is_only and is_used_so):
            yield self._finding(event, owner)

    def _finding(self, event: SamplesLeaked, owner: str) -> Finding:
        what = f"`{owner}`" if owner else "the validation"
        trained = f"`{event.trained}`" if event.trained else "the training data"
        site = (event.trained_made if event.takes_everything else event.made) or event.site
        other = event.made if event.takes_everything else event.trained_made
        related = {other: "what is evaluated" if event.takes_everything else "the training data", event.site: _LOOP}
        count = f"{event.shared} of {event.samples}"
        return self.finding(
            first_that_fits(
                f"{count} samples of {what} are in {trained} as well",
                f"{count} samples of the validation are in the training data as well",
            ),
            label="holds samples of both" if event.takes_everything else "holds samples of the training",
            expected="samples that the model is not trained on",
            got=f"{count} that it is trained on    {_HOW[event.by_index]}",
            site=site,
            related=tuple(
                Related(place, note) for place, note in related.items() if place not in (None, site) and place
            ),
        )


_ALL = 0.95
_LOOP = "it is evaluated here"
_HOW = {True: "the same places of one dataset", False: "equal in every value that was compared"}
