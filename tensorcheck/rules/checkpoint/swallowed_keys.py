"""TCK803."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import PartlyLoaded
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, listed, short


class SwallowedKeys(Rule[PartlyLoaded]):
    """`strict=False` passes over weights that were to be loaded.

    ## What it does
    Finds a `load_state_dict(..., strict=False)` that loads nothing at all, or leaves out layers whose weights are in
    the file under other names, while what it returns is not looked at.

    ## Why it matters
    These layers keep their random numbers. Nothing raises, and the model is only worse than it should be.

    ## Example
    ```python
    checkpoint = {"model": nn.Linear(4, 2).state_dict(), "epoch": 3}
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(checkpoint, strict=False)
    ```

    ## Use instead
    ```python
    checkpoint = {"model": nn.Linear(4, 2).state_dict(), "epoch": 3}
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(checkpoint["model"])
    ```

    ## Limits
    Silent where the code reads what `load_state_dict` returns, where no more than the last layer is missing, as for a
    new head, and where a part of a model is loaded by itself, as an adapter is. Weights that are missing and are in the
    file under no other name are not spoken of.
    """

    code = "TCK803"
    name = "swallowed-keys"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: PartlyLoaded) -> Iterator[Finding]:
        """Nothing was loaded, or not what has another name."""
        if event.within or not (event.loaded or event.prefix or event.own_prefix):
            yield self._nothing(event)
        elif event.renamed and not (event.prefix or event.own_prefix):
            yield self._renamed(event)

    def _nothing(self, event: PartlyLoaded) -> Finding:
        name = short(event.target or event.into)
        is_deeper = bool(event.within and event.spelled and event.target)
        return self.finding(
            first_that_fits(
                f"`{name}` loads {event.loaded} of its {counted(event.wanted, 'weight')}: no key fits",
                f"{event.loaded} of {counted(event.wanted, 'weight')} are loaded: no key fits",
            ),
            label=f"loads {event.loaded} of {event.wanted}",
            expected=f"{counted(event.wanted, 'key')}: {listed(event.missing)}",
            got=f"{counted(len(event.unexpected), 'key')}: {listed(event.unexpected)}"
            if event.unexpected
            else "no key",
            site=event.site,
            notes=("`strict=False` passes over keys that do not fit",),
            help=f'{event.target}.load_state_dict({event.spelled}["{event.within}"])' if is_deeper else "",
        )

    def _renamed(self, event: PartlyLoaded) -> Finding:
        own = tuple(key for key, _ in event.renamed)
        saved = tuple(key for _, key in event.renamed)
        return self.finding(
            first_that_fits(
                f"{counted(len(own), 'weight')} of `{short(event.target or event.into)}` not loaded: "
                "the file has them under other names",
                f"{counted(len(own), 'weight')} not loaded: the file has them under other names",
            ),
            label=f"loads {event.loaded} of {event.wanted}",
            expected=listed(own),
            got=f"{listed(saved)}    likely the same weights",
            site=event.site,
            notes=("`strict=False` passes over keys that do not fit", "they are of the same shapes, in this order"),
        )
