"""TCK807."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import ResumedWithout
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits, listed, short


class NotRestored(Rule[ResumedWithout]):
    """A training goes on from a checkpoint, and its optimizer, scheduler or scaler begins anew.

    ## What it does
    Finds a checkpoint that holds the state of an optimizer, of a scheduler or of a gradient scaler, and a training that
    goes on from its weights without that state.

    ## Why it matters
    Adam's averages and momentum are lost and the learning rate jumps back to its first value: the loss has a peak
    where the training was resumed, and the run is another one than it would have been without the stop.

    ## Example
    ```python
    import io

    file = io.BytesIO()
    model = nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters())
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}, file)
    file.seek(0)
    with tensorcheck.watch(model) as watch:
        saved = torch.load(file)
        model.load_state_dict(saved["model"])
        for epoch in range(saved["epoch"] + 1, 4):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    import io

    file = io.BytesIO()
    model = nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters())
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}, file)
    file.seek(0)
    with tensorcheck.watch(model) as watch:
        saved = torch.load(file)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        for epoch in range(saved["epoch"] + 1, 4):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    That a training goes on is known by a loop that begins with the checkpoint's epoch or step, or by another state that
    is restored. An optimizer of another class, of other groups or with another learning rate is a new one on purpose.
    A state that is not in the checkpoint is not missed.
    """

    code = "TCK807"
    name = "not-restored"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ResumedWithout) -> Iterator[Finding]:
        """Say what begins anew, and where its state is."""
        site = event.weights or event.read
        read = (Related(event.read, "the file is read here"),) if event.read is not None else ()
        yield self.finding(
            first_that_fits(
                f"`{event.kind}` begins anew, though its state is in the checkpoint's `{short(event.key)}`",
                f"the {event.what} begins anew, though the checkpoint holds its state",
            ),
            label=f"the {event.what} is not restored",
            expected=f"{event.what}.load_state_dict(...) of `{short(event.key)}`",
            got=f"a new {event.kind}    the checkpoint holds {listed(event.keys)}",
            site=site,
            related=each_line_once(read, site),
            notes=(f"the training goes on: {event.sign}",),
            help=f'{event.what}.load_state_dict({_checkpoint(event)}["{event.key}"])' if _checkpoint(event) else "",
        )


def _checkpoint(event: ResumedWithout) -> str:
    """The checkpoint as the code that loads the weights spells it."""
    code = event.weights.code if event.weights is not None else ""
    name = code.partition(".load_state_dict(")[2].partition("[")[0]
    return name if name.replace(".", "_").isidentifier() else ""
