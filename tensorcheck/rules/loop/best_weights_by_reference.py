"""TCK515."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import BestReferenced, KeptWeightsMoved
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, short


class BestWeightsByReference(Rule[KeptWeightsMoved | BestReferenced]):
    """The best weights are kept without a copy, so training goes on changing them.

    ## What it does
    Finds a `state_dict()` that was kept while the model took further steps and is then loaded into it again, or saved
    as the best, and loops that keep `best_model = model`.

    ## Why it matters
    `state_dict()` holds the parameters themselves. At the end of the training the best weights are the last ones, and
    to load them changes nothing; the reported result belongs to weights that are lost.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for epoch in range(3):
            if epoch == 1:
                best = model.state_dict()
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
        model.load_state_dict(best)
    ```

    ## Use instead
    ```python
    import copy

    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for epoch in range(3):
            if epoch == 1:
                best = copy.deepcopy(model.state_dict())
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
        model.load_state_dict(best)
    ```

    ## Limits
    A dictionary that is saved at once, or loaded before the next step, is silent, as is one that is copied, also on its
    way to another device. One that is neither loaded nor saved under a name with "best" is not looked at.
    """

    code = "TCK515"
    name = "best-weights-by-reference"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: KeptWeightsMoved | BestReferenced) -> Iterator[Finding]:
        """Say where they were kept, and where they are used."""
        yield self._referenced(event) if isinstance(event, BestReferenced) else self._moved(event)

    def _moved(self, event: KeptWeightsMoved) -> Finding:
        code = short(event.taken.code)
        use = "loaded" if event.is_loaded else "saved"
        return self.finding(
            first_that_fits(
                f"`{event.name or code}` holds the weights of {counted(event.steps, 'step')} later, not of its own",
                f"weights kept as they were {counted(event.steps, 'step')} ago are no copy",
            ),
            label="no copy of the weights",
            expected="the weights as they were here",
            got=f"the present weights    {counted(event.steps, 'step')} later",
            site=event.taken,
            related=(Related(event.site, f"{use} here, which changes nothing" if event.is_loaded else f"{use} here"),)
            if event.site is not None
            else (),
            help=f"copy.deepcopy({event.taken.code})" if event.taken.code.endswith(".state_dict()") else "",
        )

    def _referenced(self, event: BestReferenced) -> Finding:
        is_model = event.loaded is None
        return self.finding(
            first_that_fits(
                f"`{event.name}` is {_what(event)}, which goes on being trained",
                "the best model is the model itself, which goes on being trained",
            ),
            label="no copy of the model" if is_model else "no copy of the weights",
            expected=f"the {'model' if is_model else 'weights'} as of this moment",
            got=f"`{event.model}` itself    whatever becomes of it",
            site=event.site,
            related=(Related(event.loaded, "loaded here, which changes nothing"),) if event.loaded is not None else (),
            help=f"{event.name} = copy.deepcopy({event.model})" if is_model else f"copy.deepcopy({event.site.code})",
        )


def _what(event: BestReferenced) -> str:
    return f"`{event.model}` itself" if event.loaded is None else f"the state of `{event.model}` itself"
