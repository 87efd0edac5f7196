"""TCK808."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import LoadedInVain
from tensorcheck.events.optimizer import CopyTrained
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted, each_line_once, first_that_fits, short


class LoadedElsewhere(Rule[LoadedInVain | CopyTrained]):
    """The weights are loaded into another model than the one that is used, or that the optimizer holds.

    ## What it does
    Finds a `load_state_dict` of a module that nothing else holds and that the code does not use afterwards: it has no
    name, its function ends without returning it, or the script goes on with another one of its class. Also finds a
    model that was read from a file, built anew for it, or loaded with `assign=True` after the optimizer was built, and
    gets the gradients while the optimizer steps on what was there before.

    ## Why it matters
    The model that is trained or evaluated keeps its first, random weights, and nothing says so: the file was read, and
    its keys fitted. An optimizer that holds the parameters from before the loading moves what is no longer used.

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

    def check(self, event: LoadedInVain | CopyTrained) -> Iterator[Finding]:
        """Say what gets the weights, and why that is nobody's."""
        match event:
            case LoadedInVain():
                yield self._in_vain(event)
            case CopyTrained(loaded=Site()):
                yield self._replaced(event)
            case CopyTrained():
                pass  # nothing was loaded: TCK402 and TCK427

    def _replaced(self, event: CopyTrained) -> Finding:
        trained, kind = short(event.trained), event.kind
        steps = (Related(event.site, "it steps here"),) if event.site is not None else ()
        built = (Related(event.built, f"`{kind}` is built here"),) if event.built is not None else ()
        how = "assign=True replaces the parameters by tensors of the file" if event.is_assigned else ""
        return self.finding(
            first_that_fits(
                f"`{trained}` is loaded after `{kind}` was built, which holds the old parameters",
                f"a model is loaded after `{kind}` was built, which holds the old parameters",
                "a model is loaded after its optimizer was built, which holds the old parameters",
            ),
            label="not what the optimizer holds",
            expected=f"`{kind}` holds what has gradients: {counted(event.gradients, 'parameter')}",
            got=f"it holds {counted(event.held, 'parameter')} from before the loading, none with a gradient",
            site=event.loaded,
            related=each_line_once([*built, *steps], event.loaded),
            notes=(how,) if how else (),
            help=f"build `{kind}` after this line",
        )

    def _in_vain(self, event: LoadedInVain) -> Finding:
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
        return self.finding(
            first_that_fits(headline, f"the weights are loaded into a `{kind}` that nobody uses"),
            label="loaded into what nobody uses",
            expected="the weights are loaded into the model that is used",
            got=got,
            site=event.site,
            related=each_line_once(made, event.site),
            help=help_,
        )
