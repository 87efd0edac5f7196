"""TCK804."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import PartlyLoaded
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, listed, short


class PrefixedKeys(Rule[PartlyLoaded]):
    """The saved keys have a prefix that the model has not, or the other way round, and `strict=False` says nothing.

    ## What it does
    Finds a `load_state_dict(..., strict=False)` that passes over weights because of a prefix alone, as `module.` of
    `DataParallel` or `_orig_mod.` of `torch.compile`, while what it returns is not looked at.

    ## Why it matters
    None of these weights is loaded. The training starts from random numbers, or random numbers are evaluated, and
    nothing says so.

    ## Example
    ```python
    saved = {f"module.{key}": value for key, value in nn.Linear(4, 2).state_dict().items()}
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(saved, strict=False)
    ```

    ## Use instead
    ```python
    saved = {f"module.{key}": value for key, value in nn.Linear(4, 2).state_dict().items()}
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        model.load_state_dict({key.removeprefix("module."): value for key, value in saved.items()})
    ```

    ## Limits
    Silent where the code reads what `load_state_dict` returns. With `strict=True` PyTorch raises, which TCK801
    explains.
    """

    code = "TCK804"
    name = "prefixed-keys"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: PartlyLoaded) -> Iterator[Finding]:
        """Say which prefix, and on which side."""
        if event.within or not (event.prefix or event.own_prefix):
            return
        left_out = f"{event.wanted - event.loaded} of {event.wanted} weights not loaded"
        prefix = event.prefix or event.own_prefix
        longer = "the saved keys have" if event.prefix else f"`{short(event.target or event.into)}` has"
        yield self.finding(
            first_that_fits(
                f"{left_out}: {longer} the prefix `{prefix}`",
                f"{left_out}: {longer} a prefix",
                f"{left_out}: the keys differ by a prefix",
            ),
            label=f"loads {event.loaded} of {event.wanted}",
            expected=listed(event.missing),
            got=listed(event.unexpected),
            site=event.site,
            notes=(f"only {longer} `{prefix}` before each key; `strict=False` passes over keys that do not fit",),
            help=_help(event),
        )


def _help(event: PartlyLoaded) -> str:
    if not event.target or not event.spelled.isidentifier():
        return ""
    if event.prefix:
        items = f'key.removeprefix("{event.prefix}"): value for key, value in {event.spelled}.items()'
        return f"{event.target}.load_state_dict({{{items}}})"
    inner = event.own_prefix.rstrip(".")
    if not inner.replace(".", "_").isidentifier() or any(part.isdigit() for part in inner.split(".")):
        return ""
    return f"{event.target}.{inner}.load_state_dict({event.spelled})"
