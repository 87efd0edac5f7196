"""TCK808."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import LoadedInVain
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits, short


class LoadedElsewhere(Rule[LoadedInVain]):
    """The weights are loaded into another model than the one that is used.

    ## What it does
    Finds a `load_state_dict` of a module that nothing else holds and that the code does not use afterwards: it has no
    name, its function ends without returning it, or the script goes on with another one of its class.

    ## Why it matters
    The model that is trained or evaluated keeps its first, random weights, and nothing says so: the file was read, and
    its keys fitted.

    ## Example
    ```python
    def build():
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    saved = build().state_dict()
    model = build()
    with tensorcheck.watch(model) as watch:
        build().load_state_dict(saved)
        model(torch.rand(16, 4))
    ```

    ## Use instead
    ```python
    def build():
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    saved = build().state_dict()
    model = build()
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(saved)
        model(torch.rand(16, 4))
    ```

    ## Limits
    Silent in a `try`, where loading may be a check, and after the first step of a training.
    """

    code = "TCK808"
    name = "loaded-elsewhere"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LoadedInVain) -> Iterator[Finding]:
        """Say what gets the weights, and why that is nobody's."""
        name, kind, function = short(event.name), short(event.kind), short(event.function)
        made = (Related(event.made, f"`{name}` is made here"),) if event.made is not None else ()
        if not name:
            headline = f"The weights are loaded into a `{kind}` that nothing holds"
            got, help_ = f"a new `{kind}`, which is gone after this line", ""
        elif function and not event.has_twin:
            headline = f"`{name}` gets the weights, and is gone when `{function}` ends"
            got, help_ = f"a new `{kind}`, which `{function}` does not return", f"return {event.name}"
        else:
            headline = f"`{name}` gets the weights, and nothing uses it"
            got, help_ = f"a `{kind}` that is not used", ""
        yield self.finding(
            first_that_fits(headline, f"the weights are loaded into a `{kind}` that nobody uses"),
            label="loaded into what nobody uses",
            expected="the weights are loaded into the model that is used",
            got=got,
            site=event.site,
            related=each_line_once(made, event.site),
            help=help_,
        )
