"""TCK418."""

from collections.abc import Iterator

from tensorcheck.events.gradients import ParametersUnreached
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, listed


class UnreachedParameters(Rule[ParametersUnreached]):
    """An optimizer holds parameters that no loss of the run leads to.

    ## What it does
    Reads the graph of each loss in the first steps. Parameters that an optimizer holds, that none of these graphs
    leads to, and that had no gradient at any later step either, are told at the end of the run: those that nothing
    was computed with, and those whose results the loss does not use.

    ## Why it matters
    A layer was built and is not used in `forward`, or `forward` returns something that the loss leaves out. It is
    saved, counted and moved to the device, and stays as it was initialised.

    ## Example
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 8)
            self.context = nn.Linear(8, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, rows):
            features = self.body(rows).relu()
            around = self.context(features)
            return self.head(features)

    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 8)
            self.context = nn.Linear(8, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, rows):
            features = self.body(rows).relu()
            around = self.context(features)
            return self.head(features + around)

    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    Runs of fewer than eight steps say nothing, nor do runs that an exception ends: a head may be idle for a while. The
    spare parts of ready-made models are silent, and so is what something else moves.
    """

    code = "TCK418"
    name = "unreached-parameters"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ParametersUnreached) -> Iterator[Finding]:
        """Report all of one model, in one finding."""
        names = (*event.ignored, *event.unused)
        paths = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
        what = "the loss leaves out what it gives" if event.ignored else "nothing is computed with it"
        site = event.used or next(iter(event.definitions), None) or event.step_site
        yield self.finding(
            first_that_fits(
                f"no loss in {counted(event.steps, 'step')} leads to {listed(paths, most=2)}",
                f"no loss in {counted(event.steps, 'step')} leads to {counted(len(names), 'parameter')}",
            ),
            label=what,
            expected="the loss depends on each parameter that an optimizer holds",
            got=f"{counted(len(names), 'parameter')} that never got a gradient",
            site=site,
            module=paths[0] if len(paths) == 1 else None,
            related=tuple(_related(event, shown=site is event.used)),
            notes=(f"never learns: {listed_parameters(names, event.kinds)}",),
        )


def _related(event: ParametersUnreached, *, shown: bool) -> Iterator[Related]:
    for site in event.definitions[:2] if shown else event.definitions[1:2]:
        yield Related(site, "it is built here")
    if event.step_site is not None:
        yield Related(event.step_site, f"`{event.optimizer}` holds it and steps here")
