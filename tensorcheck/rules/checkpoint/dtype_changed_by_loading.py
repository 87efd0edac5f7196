"""TCK806."""

from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.checkpoint import TrainedInAnotherDtype, ValuesLost
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, each_line_once, first_that_fits, listed, short


class DtypeChangedByLoading(Rule[ValuesLost | TrainedInAnotherDtype]):
    """A state of another dtype than the model's loses values when it is loaded, or makes the model one of that dtype.

    ## What it does
    Finds a `load_state_dict` that cuts fractions off in an integer buffer or makes infinities in half precision, and
    one with `assign=True` after which a model of another dtype is trained. That a model is trained on from values of
    another precision is worth knowing (info).

    ## Why it matters
    Loading copies values into what is there, as `copy_` does, and says nothing: a mean of 0.485 is 0 in an integer
    buffer. With `assign=True` the tensors of the file take the place of the parameters, and the training goes on in
    bfloat16, where small steps vanish, or in float64, which is many times slower.

    ## Example
    ```python
    class Normalised(nn.Module):
        def __init__(self, mean):
            super().__init__()
            self.register_buffer("mean", torch.tensor(mean))
            self.head = nn.Linear(3, 2)

        def forward(self, rows):
            return self.head(rows - self.mean)

    saved = Normalised([0.485, 0.456, 0.406]).state_dict()
    model = Normalised([0, 0, 0])
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(saved)
    ```

    ## Use instead
    ```python
    class Normalised(nn.Module):
        def __init__(self, mean):
            super().__init__()
            self.register_buffer("mean", torch.tensor(mean))
            self.head = nn.Linear(3, 2)

        def forward(self, rows):
            return self.head(rows - self.mean)

    saved = Normalised([0.485, 0.456, 0.406]).state_dict()
    model = Normalised([0.0, 0.0, 0.0])
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(saved)
    ```

    ## Limits
    Values are looked at on the CPU, in tensors of at most four million. A state that changes the dtype of a part of the
    model alone is not spoken of.
    """

    code = "TCK806"
    name = "dtype-changed-by-loading"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ValuesLost | TrainedInAnotherDtype) -> Iterator[Finding]:
        """Say what was in the file, and what is in the model."""
        if isinstance(event, ValuesLost):
            yield self._lost(event)
        elif event.is_assigned:
            yield self._assigned(event)
        else:
            yield replace(self._copied(event), severity=Severity.INFO)

    def _lost(self, event: ValuesLost) -> Finding:
        key = short(event.keys[0])
        site = event.made or event.site
        loaded = (Related(event.site, "the state is loaded here"),) if event.site is not None else ()
        others = f"    so are values of {listed(event.keys[1:])}" if event.keys[1:] else ""
        return self.finding(
            first_that_fits(
                f"`{key}` is {event.own}: {event.was:.4g} was loaded into it and is {event.now:.4g}",
                f"`{key}` is {event.own}, and values that are loaded into it are lost",
                "values are lost by loading them into another dtype",
            ),
            label=f"{event.own}, loaded from {event.saved}",
            expected=f"{event.saved}, as in the state",
            got=f"{event.own}{others}",
            site=site,
            related=each_line_once(loaded, site),
        )

    def _assigned(self, event: TrainedInAnotherDtype) -> Finding:
        target = short(event.target or "the model")
        return self.finding(
            first_that_fits(
                f"`{target}` was {event.own} and is trained in {event.saved} since it was loaded",
                f"the model was {event.own} and is {event.saved} since it was loaded",
            ),
            label=f"{event.saved} from here on",
            expected=f"{event.own}    as it was built",
            got=f"{counted(event.count, 'tensor')} of {event.saved}, taken from the file by assign=True",
            site=event.site,
            help="leave out assign=True: the values are then copied into what is there",
        )

    def _copied(self, event: TrainedInAnotherDtype) -> Finding:
        target = short(event.target or "the model")
        return self.finding(
            first_that_fits(
                f"`{target}` is trained in {event.own}, from values that were saved in {event.saved}",
                f"a model of {event.own} is trained from values that were saved in {event.saved}",
            ),
            label=f"saved in {event.saved}",
            expected=event.own,
            got=f"{counted(event.count, 'tensor')} of {event.saved}, copied into {event.own}",
            site=event.site,
        )
