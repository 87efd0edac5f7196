"""TCK205."""

from collections.abc import Iterator

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.joinings import Joining, joining_of
from tensorcheck.knowledge.packings import packing_of
from tensorcheck.knowledge.reshaping import came
from tensorcheck.lineage_wording import made
from tensorcheck.rule import Rule
from tensorcheck.wording import how_it_got_here, label_for


class ConcatenatedShapes(Rule[Crashed]):
    """The parts of `cat`, `stack` and their kin have shapes that don't fit.

    ## What it does
    Explains the exception that `cat`, `stack`, `hstack`, `pad_sequence`, `pack_padded_sequence` and their kin raise
    when their parts differ where they must not, have another number of dims, or are none at all: which part, how it
    differs, and where it came from.

    ## Why it matters
    The message counts the tensors of a list and their dims; which layer or which batch gave the odd one has to be found
    by printing. Skip connections after pooling, a last batch that is smaller, and a condition without its batch dim are
    the usual reasons.

    ## Example
    ```python
    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool2d(2)
            self.up = nn.Upsample(scale_factor=2)
            self.head = nn.Conv2d(8, 1, 1)

        def forward(self, skip):
            small = self.up(self.pool(skip))
            return self.head(torch.cat([small, skip], dim=1))

    model = Up()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(1, 4, 9, 9))
    ```

    ## Use instead
    ```python
    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool2d(2)
            self.head = nn.Conv2d(8, 1, 1)

        def forward(self, skip):
            small = nn.functional.interpolate(self.pool(skip), size=skip.shape[-2:])
            return self.head(torch.cat([small, skip], dim=1))

    model = Up()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(1, 4, 9, 9))
    ```
    """

    code = "TCK205"
    name = "concatenated-shapes"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the parts."""
        call = event.call if event.loading is None else None
        if call is None:
            return
        joining = joining_of(call, event.message, event.site) or packing_of(call, event.message, event.site)
        if joining is not None:
            yield self._found(event, joining)

    def _found(self, event: Crashed, joining: Joining) -> Finding:
        metas = [operand.meta for operand in joining.operands]
        running = event.modules[-1] if event.modules else None
        return self.finding(
            joining.headline,
            label=label_for(
                joining.headline,
                " and ".join(meta.notation for meta in metas),
                " and ".join(str(list(meta.shape)) for meta in metas),
            ),
            expected=joining.wanted,
            got=joining.got,
            site=joining.site or event.site,
            module=running.path if running is not None else None,
            related=tuple(dict.fromkeys(_places(joining))),
            notes=tuple(note for note in (joining.note, f"in {running}" if running and running.path else "") if note),
            path=how_it_got_here(event.calls),
            help=joining.help,
            fixes=joining.fixes,
        )


def _places(joining: Joining) -> Iterator[Related]:
    """Where the parts came from, the odd one's places first."""
    for operand in joining.operands:
        yield from came(operand)
    setting = joining.setting
    if setting is not None:
        yield from made(setting, lambda _: True, str(setting.value) if setting.value != () else "empty")
