"""TCK810."""

from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.checkpoint import ForeignFileLoaded
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, listed, short

_UNSAFE = "weights_only=False"


class UnsafeLoad(Rule[ForeignFileLoaded]):
    """A file that was not written here is read with `weights_only=False`, which runs what the file says.

    ## What it does
    Finds a `torch.load(..., weights_only=False)` of a file that neither this run nor its code writes, and reads in the
    file's pickle, without running it, whether it holds anything that `weights_only=True` would refuse.

    ## Why it matters
    A pickle is a program: whoever made the file decides what runs on your machine when it is loaded. Nearly every
    checkpoint holds tensors and plain values alone, and is read just as well without that right.

    ## Example
    ```python
    import io, tempfile
    from pathlib import Path

    theirs = io.BytesIO()
    torch.save(nn.Linear(4, 2).state_dict(), theirs)
    model = nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        downloaded = Path(folder, "backbone.pt")
        downloaded.write_bytes(theirs.getvalue())
        with tensorcheck.watch(model) as watch:
            model.load_state_dict(torch.load(downloaded, weights_only=False))
    ```

    ## Use instead
    ```python
    import io, tempfile
    from pathlib import Path

    theirs = io.BytesIO()
    torch.save(nn.Linear(4, 2).state_dict(), theirs)
    model = nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        downloaded = Path(folder, "backbone.pt")
        downloaded.write_bytes(theirs.getvalue())
        with tensorcheck.watch(model) as watch:
            model.load_state_dict(torch.load(downloaded, weights_only=True))
    ```

    ## Limits
    A file that a `torch.save` of the loaded code may write counts as its own, also in a later run, and so does one that
    holds the user's own classes. Of one that needs `weights_only=False` for other classes it is only said which
    (info). Files in memory and those of PyTorch before 1.6 are not looked into.
    """

    code = "TCK810"
    name = "unsafe-load"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ForeignFileLoaded) -> Iterator[Finding]:
        """Say what the file may do, and whether it needs to."""
        if event.called:
            yield replace(self._runs(event), severity=Severity.ERROR)
        elif event.names:
            yield replace(self._needs(event), severity=Severity.INFO)
        else:
            yield self._needless(event)

    def _runs(self, event: ForeignFileLoaded) -> Finding:
        called = event.called[0]
        return self.finding(
            first_that_fits(
                f"`{short(event.file)}` names `{short(called)}`, and `{_UNSAFE}` let it run",
                f"the file names `{short(called)}`, and `{_UNSAFE}` let it run",
            ),
            label="runs what the file says",
            expected="weights_only=True, which refuses such a file",
            got=f"{_UNSAFE}    the file calls {listed(event.called)}",
            site=event.site,
            notes=("no weights need this: find out what it did, and where the file came from",),
        )

    def _needs(self, event: ForeignFileLoaded) -> Finding:
        return self.finding(
            first_that_fits(
                f"`{short(event.file)}` is not of this run, and `{_UNSAFE}` lets it run code",
                f"`{_UNSAFE}` lets a file that is not of this run run code",
            ),
            label="runs what the file says",
            expected="weights_only=True",
            got=f"{_UNSAFE}    the file holds {listed(event.names)}",
            site=event.site,
            notes=("torch.serialization.safe_globals([...]) allows these classes, and no others",),
        )

    def _needless(self, event: ForeignFileLoaded) -> Finding:
        code = event.site.code if event.site is not None else ""
        return self.finding(
            first_that_fits(
                f"`{_UNSAFE}` lets `{short(event.file)}` run code, and it needs none",
                f"`{_UNSAFE}` lets the file run code, and it needs none",
            ),
            label="runs what the file says",
            expected="weights_only=True, which reads all that is in it",
            got=f"{_UNSAFE}    the file was not written here",
            site=event.site,
            help=code.replace(_UNSAFE, "weights_only=True") if code.count(_UNSAFE) == 1 else "weights_only=True",
        )
