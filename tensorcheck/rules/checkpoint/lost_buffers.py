"""TCK805."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import PartlyLoaded
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, listed, short


class LostBuffers(Rule[PartlyLoaded]):
    """A state holds the weights of normalisation layers and not their running statistics.

    ## What it does
    Finds a `load_state_dict(..., strict=False)` that loads the weights of a BatchNorm layer while its `running_mean`
    and `running_var` are not in the file, and what it returns is not looked at.

    ## Why it matters
    In evaluation the layer normalises with a mean of zero and a variance of one, which are not those that its weights
    were trained with. Most often `named_parameters()` was saved in place of `state_dict()`, which has buffers too.

    ## Example
    ```python
    trained = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    saved = {name: value.detach() for name, value in trained.named_parameters()}
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(saved, strict=False)
    ```

    ## Use instead
    ```python
    trained = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    saved = trained.state_dict()
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(saved)
    ```

    ## Limits
    Silent where the code reads what `load_state_dict` returns. Other buffers are not spoken of: many are computed anew.
    """

    code = "TCK805"
    name = "lost-buffers"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: PartlyLoaded) -> Iterator[Finding]:
        """Say whose statistics are missing."""
        if not event.statistics or event.within or event.prefix or event.own_prefix or event.renamed:
            return
        name, lost = short(event.target or event.into), counted(len(event.statistics), "running statistic")
        yield self.finding(
            first_that_fits(
                f"{lost} of `{name}` not loaded, though its layers' weights are",
                f"{lost} not loaded, though the weights are",
            ),
            label="without running statistics",
            expected=listed(event.statistics),
            got="no such key    the layer keeps a mean of 0 and a variance of 1",
            site=event.site,
            notes=("likely the parameters alone were saved; `state_dict()` has the buffers too",),
        )
