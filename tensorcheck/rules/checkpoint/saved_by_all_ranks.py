"""TCK812."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import SavedByRank
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class SavedByAllRanks(Rule[SavedByRank]):
    """Several processes train together, and each of them writes the same file.

    ## What it does
    Finds a `torch.save` that a process of a higher rank runs, or the first one with no condition on the way that could
    keep the others from it, to a path that is the same in all of them.

    ## Why it matters
    The weights are the same in all processes, so one file is enough. Written by several at a time it is now and then
    cut short or mixed, which shows when it is loaded.

    ## Example
    ```python
    import os
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    try:
        model = nn.Linear(4, 2)
        with tensorcheck.watch(model) as watch:
            torch.save(model.state_dict(), "weights.pt")
    finally:
        dist.destroy_process_group()
        os.remove("weights.pt")
    ```

    ## Use instead
    ```python
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    try:
        model = nn.Linear(4, 2)
        with tensorcheck.watch(model) as watch:
            if dist.get_rank() == 0:
                torch.save(model.state_dict(), "weights.pt")
    finally:
        dist.destroy_process_group()
    ```

    ## Limits
    Each process has to be watched: those that another one starts are not. Silent in a folder that `tempfile` made, and
    in the first process of a machine beside the first one.
    """

    code = "TCK812"
    name = "saved-by-all-ranks"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: SavedByRank) -> Iterator[Finding]:
        """Say who writes the file."""
        code = event.site.code if event.site is not None else ""
        who = f"rank {event.rank} of {event.world}"
        yield self.finding(
            first_that_fits(
                f"`{short(event.file)}` is saved by {who}, and by every other one",
                f"a file is saved by {who}, and by every other one",
            ),
            label="every rank runs this",
            expected="one rank writes the file: the weights are the same in all",
            got=f"{who} writes it too" if event.rank else f"{who} writes it    no condition keeps the others from it",
            site=event.site,
            help=f"if torch.distributed.get_rank() == 0: {code}" if code.endswith(")") else "",
        )
