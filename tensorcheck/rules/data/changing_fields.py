"""TCK713."""

from collections.abc import Iterator

from tensorcheck.events.loading import FieldChanged
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class ChangingFields(Rule[FieldChanged]):
    """A field of the batches changes its dtype, its rank or its range from one batch or sample to the next.

    ## What it does
    Compares each batch of a DataLoader with those before: the dtype and rank of each field and, of the largest field,
    whether some samples hold fractions around 1 while others go up to 255 with nothing in between.

    ## Why it matters
    A batch of one dtype or rank is computed otherwise than the next, and nobody asked for it: a loss broadcasts, a
    class becomes a probability. Samples that were never divided by 255 are hundreds of times larger than the rest, and
    their gradients drown all others.

    ## Example
    ```python
    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return 32

        def __getitem__(self, index):
            image = torch.rand(3, 4, 4)
            if index % 4 == 0:
                image = (255 * image).round()
            return image

    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 1))
    with tensorcheck.watch(model) as watch:
        for images in torch.utils.data.DataLoader(Images(), batch_size=8):
            model(images)
    ```

    ## Use instead
    ```python
    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return 32

        def __getitem__(self, index):
            image = torch.rand(3, 4, 4)
            if index % 4 == 0:
                image = (255 * image).round() / 255
            return image

    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 1))
    with tensorcheck.watch(model) as watch:
        for images in torch.utils.data.DataLoader(Images(), batch_size=8):
            model(images)
    ```

    ## Limits
    Only loaders whose batches PyTorch's own `BatchSampler` makes up are compared, and batches only with those that have
    the same fields. Values are looked at on the CPU, in the first batches of a loader. A batch of one that lost its
    first dim is the matter of other rules.
    """

    code = "TCK713"
    name = "changing-fields"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: FieldChanged) -> Iterator[Finding]:
        """Say what it was and what it became."""
        what = f"`{event.field}`"
        is_range = event.change == "range"
        verb = "holds samples" if is_range else "is"
        site = event.made or event.site
        related = event.site if event.site != site else None
        where = "in one loader" if is_range else f"in batch {event.batch}"
        yield self.finding(
            first_that_fits(
                f"{what} of `{event.dataset}` {verb} {event.before} and {event.after} {where}",
                f"{what} {verb} {event.before} and {event.after} {where}",
                f"a field of the batches {verb} {event.before} and {event.after} {where}",
            ),
            label=f"{event.before} or {event.after}",
            expected=f"one {event.change} for all samples",
            got=f"{event.before} and {event.after}    {_BETWEEN if is_range else f'{where}, counted from 0'}",
            site=site,
            related=(Related(related, "the batches are asked for here"),) if related is not None else (),
        )


_BETWEEN = "with nothing in between"
