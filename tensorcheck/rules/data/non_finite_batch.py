"""TCK706."""

from collections.abc import Iterator

from tensorcheck.events.loading import BatchNotFinite
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class NonFiniteBatch(Rule[BatchNotFinite]):
    """A batch holds NaN or infinity, and the loss is lost by it.

    ## What it does
    When a loss is NaN or infinite, looks at the batch that the DataLoader gave for this step, and names the field, the
    samples and the first place in them that is no number.

    ## Why it matters
    One value that is missing in one row of a table, or one division by zero in a preprocessing, turns the loss, then
    every gradient, and with the next step every weight into NaN. The model is lost from there on, and nothing raises.

    ## Example
    ```python
    rows = torch.rand(32, 4)
    rows[13, 2] = float("nan")
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = torch.utils.data.TensorDataset(rows, torch.arange(32) % 3)
    with tensorcheck.watch(model) as watch:
        for inputs, labels in torch.utils.data.DataLoader(data, batch_size=8):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    rows = torch.rand(32, 4)
    rows[13, 2] = float("nan")
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = torch.utils.data.TensorDataset(rows.nan_to_num(), torch.arange(32) % 3)
    with tensorcheck.watch(model) as watch:
        for inputs, labels in torch.utils.data.DataLoader(data, batch_size=8):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
    ```

    ## Limits
    The batch is looked at where it is still held on the CPU when `backward` is called. A batch with NaN that the model
    masks or fills, so that the loss is a number, is nobody's mistake.
    """

    code = "TCK706"
    name = "non-finite-batch"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: BatchNotFinite) -> Iterator[Finding]:
        """Say which samples, and where they are made."""
        kinds = " and ".join(event.kinds)
        site = event.made or event.site
        elsewhere = event.site if event.site != site else None
        where = _samples("sample", event.samples) or _samples("row", event.rows)
        yield self.finding(
            first_that_fits(
                f"`{event.field}` of `{event.dataset}` holds {kinds}{where}",
                f"`{event.field}` holds {kinds}{where}",
                f"a batch holds {kinds}",
            ),
            label=f"{event.count} of its values {'is' if event.count == 1 else 'are'} no number",
            expected="finite numbers",
            got=f"{event.meta}    the first at {list(event.first)}",
            site=site,
            related=(Related(elsewhere, "the loss is lost by it here"),) if elsewhere is not None else (),
        )


_MOST = 3


def _samples(name: str, numbers: tuple[int, ...]) -> str:
    if not numbers:
        return ""
    more = ", ..." if len(numbers) > _MOST else ""
    return f" in {name}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:_MOST]))}{more}"
