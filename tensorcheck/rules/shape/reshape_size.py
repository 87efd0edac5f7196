"""TCK206."""

from collections.abc import Iterator

from tensorcheck.calls import FailedCall
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.reshapes import Refusal, refusal_of
from tensorcheck.knowledge.reshaping import came
from tensorcheck.lineage_wording import made
from tensorcheck.rule import Rule
from tensorcheck.wording import how_it_got_here, label_for, titled


class ReshapeSize(Rule[Crashed]):
    """A view or a reshape asks for a shape that the tensor's size or strides don't allow.

    ## What it does
    Explains the exception of `view`, `reshape`, `unflatten`, `split`, of unpacking a `chunk` or a `shape`, and of their
    kin: how many elements the new shape takes, how many there are, and where the tensor and the numbers came from.

    ## Why it matters
    `shape '[64, 144]' is invalid for input of size 5760` needs a calculator. A batch size that is written out fails at
    the last batch of an epoch, and a size that was computed for other images at the first; both numbers stand far from
    the line that raises.

    ## Example
    ```python
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(144, 10)

        def forward(self, images):
            return self.fc(images.view(64, 144))

    model = Net()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(40, 1, 12, 12))
    ```

    ## Use instead
    ```python
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(144, 10)

        def forward(self, images):
            return self.fc(images.flatten(1))

    model = Net()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(40, 1, 12, 12))
    ```
    """

    code = "TCK206"
    name = "reshape-size"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare what was asked for with what the tensor has."""
        call = event.call if event.loading is None else None
        refusal = refusal_of(call, event.message, event.site) if call is not None else None
        if call is not None and refusal is not None:
            yield self._found(event, call, refusal)

    def _found(self, event: Crashed, call: FailedCall, refusal: Refusal) -> Finding:
        given = call.first
        running = event.modules[-1] if event.modules else None
        where = f"in {titled(running)} ({running.kind})" if running is not None and running.path else ""
        return self.finding(
            refusal.headline,
            label=label_for(refusal.headline, str(given.meta), given.meta.notation) if given is not None else "",
            expected=refusal.wanted,
            got=refusal.got,
            site=event.site,
            module=running.path if running is not None else None,
            related=tuple(_places(call, refusal)),
            notes=tuple(note for note in (refusal.note, where if call.module is None else "") if note),
            path=how_it_got_here(event.calls),
            help=refusal.help,
            fixes=refusal.fixes,
        )


def _places(call: FailedCall, refusal: Refusal) -> Iterator[Related]:
    """Where the number that was asked for was written, and where the tensor got its shape."""
    if refusal.setting is not None:
        yield from made(refusal.setting, lambda _: True, str(refusal.setting.value))
    if call.first is not None:
        yield from came(call.first)
