"""TCK423."""

import re
from collections.abc import Iterator

from tensorcheck.events.gradients import GraphKept
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits

_APPENDED = re.compile(r"(?P<to>[\w.\[\]\"']+\.(?:append|appendleft|add))\((?P<what>[\w.]+)\)")
_SUMMED = re.compile(r"(?P<to>[\w.\[\]\"']+) \+= (?P<what>[\w.]+)")


class GraphKeptOverSteps(Rule[GraphKept]):
    """Something that is kept from step to step keeps the graph of each step with it.

    ## What it does
    Nine steps into the run, once, walks autograd's graph from what the running code holds: variables, lists,
    dictionaries, attributes of its objects. One that leads back to each of the steps before is told, with the line that
    adds to it.

    ## Why it matters
    Memory grows with each step until it is used up, often hours later, and each backward pass through such a state
    takes longer than the one before. A number is meant: a running loss, a metric, a score in a replay buffer.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = 0.0
    with tensorcheck.watch(model) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            loss.backward()
            optimizer.step()
            total += loss
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = 0.0
    with tensorcheck.watch(model) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            loss.backward()
            optimizer.step()
            total += loss.detach()
    ```

    ## Limits
    What is kept where the running functions have no name for it is not seen, nor what a run of fewer than nine steps
    keeps.
    """

    code = "TCK423"
    name = "graph-kept"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: GraphKept) -> Iterator[Finding]:
        """Report what is kept."""
        yield self.finding(
            first_that_fits(
                f"`{event.name}` keeps the graphs of the last {counted(event.steps, 'step')}, and grows",
                f"the graphs of the last {counted(event.steps, 'step')} are kept, and grow",
            ),
            label="each step adds its graph",
            expected="numbers without a graph, or the graph of one step",
            got=f"{event.nodes} nodes that lead back to each of {counted(event.steps, 'step')}",
            site=event.site or event.step_site,
            related=() if event.site is None or event.step_site is None else (Related(event.step_site, _STEP),),
            help=_detached(event.site),
        )


_STEP = "the graph is of no use any more from here on"


def _detached(site: Site | None) -> str:
    """The line with a number in place of the tensor."""
    code = site.code if site is not None else ""
    if found := _SUMMED.fullmatch(code):
        return f"{found['to']} += {found['what']}.detach()"
    if found := _APPENDED.fullmatch(code):
        return f"{found['to']}({found['what']}.detach())"
    return ""
