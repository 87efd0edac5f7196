"""TCK517."""

from collections.abc import Iterator

from tensorcheck.events.passes import TrainingDataEvaluated
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.validation_names import is_used_as_validation, is_validation
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class ValidationOnTrainingData(Rule[TrainingDataEvaluated]):
    """What is called a validation goes over the data that the model is trained on.

    ## What it does
    Finds evaluations over the DataLoader that the model is trained on, or over another one of the same dataset, that
    the code calls a validation or a test: by the name of the loader, of the function or of the result.

    ## Why it matters
    The model is measured on what it has learned by heart. Overfitting can't be seen, the best checkpoint is the last
    one, and the reported number says nothing about new data.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = torch.utils.data.TensorDataset(torch.rand(32, 4))
    train_loader = torch.utils.data.DataLoader(rows, batch_size=8, shuffle=True)
    val_loader = torch.utils.data.DataLoader(rows, batch_size=8)
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
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
    rows = torch.utils.data.TensorDataset(torch.rand(32, 4))
    train_set, val_set = torch.utils.data.random_split(rows, [24, 8])
    train_loader = torch.utils.data.DataLoader(train_set, batch_size=8, shuffle=True)
    val_loader = torch.utils.data.DataLoader(val_set, batch_size=8)
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            for (batch,) in train_loader:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
            with torch.no_grad():
                for (batch,) in val_loader:
                    error = model(batch).square().mean()
    ```

    ## Limits
    An evaluation of the training data that nobody calls a validation is silent, and so is one under such a name only in
    a function or a result if other data is evaluated too. Two dataset objects that hold equal samples are two datasets.
    """

    code = "TCK517"
    name = "validation-on-training-data"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: TrainingDataEvaluated) -> Iterator[Finding]:
        """Ask what the code calls it."""
        owner = event.loader[-1] if event.loader else ""
        is_called_so = is_validation(owner)
        is_used_so = event.is_only and is_used_as_validation(event.results, event.functions)
        if is_called_so or is_used_so:
            yield self._finding(event, owner, is_called_so=is_called_so)

    def _finding(self, event: TrainingDataEvaluated, owner: str, *, is_called_so: bool) -> Finding:
        site = event.built if is_called_so and event.built is not None else event.site
        related = [Related(event.site, "it is evaluated here")] if event.site not in (None, site) and event.site else []
        what = f"`{owner}`" if owner and is_called_so else "the validation"
        trained = f"`{event.trained}`" if event.trained and event.trained != owner else "the training data"
        return self.finding(
            first_that_fits(
                f"{what} goes through the dataset of {trained}"
                if not event.is_same
                else f"{what} goes through the DataLoader that the model is trained on",
                "the validation goes through the data that the model is trained on",
            ),
            label="the training data",
            expected="samples that the model is not trained on",
            got=f"those of {trained}    the same {'DataLoader' if event.is_same else 'dataset'}",
            site=site,
            related=tuple(related),
        )
