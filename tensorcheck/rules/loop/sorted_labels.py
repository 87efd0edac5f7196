"""TCK513."""

from collections.abc import Iterator

from tensorcheck.events.passes import LabelsSorted
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class SortedLabels(Rule[LabelsSorted]):
    """The training data is sorted by its labels, and the DataLoader does not shuffle it.

    ## What it does
    Finds training passes over a DataLoader without `shuffle=True` in which the labels came one class after the other,
    none of which came again.

    ## Why it matters
    Each batch holds one class alone. The model learns to answer that class whatever it sees, forgets it with the next,
    and at the end of an epoch it knows the last class best.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labels = torch.tensor([0] * 16 + [1] * 16 + [2] * 16)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(48, 4), labels), batch_size=8)
    with tensorcheck.watch(model) as watch:
        for rows, wanted in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows), wanted).backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labels = torch.tensor([0] * 16 + [1] * 16 + [2] * 16)
    samples = torch.utils.data.TensorDataset(torch.rand(48, 4), labels)
    loader = torch.utils.data.DataLoader(samples, batch_size=8, shuffle=True)
    with tensorcheck.watch(model) as watch:
        for rows, wanted in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows), wanted).backward()
            optimizer.step()
    ```

    ## Limits
    Labels on the CPU are looked at, in a field of the batch with such a key or in the last of several. As soon as one
    comes again after another, the order is taken to be meant. A pass that is broken off early shows little, and a
    sampler of your own is left alone.
    """

    code = "TCK513"
    name = "sorted-labels"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LabelsSorted) -> Iterator[Finding]:
        """Say how they came, and where the loader was built."""
        site = event.built or event.site
        seen, what = ", ".join(event.classes[:4]), f"`{event.loader}`" if event.loader else "the DataLoader"
        more = ", ..." if len(event.classes) > len(event.classes[:4]) else ""
        is_elsewhere = event.site is not None and event.site != site
        yield self.finding(
            first_that_fits(
                f"{what} gives the training data sorted by its labels, unshuffled",
                "the training data comes sorted by its labels, unshuffled",
            ),
            label="does not shuffle",
            expected="all classes mixed in each batch",
            got=f"`{event.field}` is {seen}{more} one after the other    {event.constant} of {event.batches} batches "
            "hold one class",
            site=site,
            related=(Related(event.site, _LOOP),) if is_elsewhere and event.site is not None else (),
            help=_shuffled(event.built.code) if event.built is not None else "",
        )


_LOOP = "the model is trained on it here"


def _shuffled(code: str) -> str:
    """The construction with `shuffle=True`."""
    if "shuffle=False" in code:
        return code.replace("shuffle=False", "shuffle=True")
    is_call = code.endswith(")") and "shuffle" not in code and "sampler" not in code
    return f"{code[:-1].rstrip().rstrip(',')}, shuffle=True)" if is_call else ""
