"""TCK430."""

from collections.abc import Iterator

from tensorcheck.events.loop import CallKind, LoopFollowed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.call_order import between_steps, is_one_site, of_kind
from tensorcheck.rule import Rule

_STEPS = 3
_SPELLED = ("retain_graph=True", "retain_graph = True")


class NeedlessRetainGraph(Rule[LoopFollowed]):
    """The graph is retained, and nothing goes through it again.

    ## What it does
    Follows the first steps of a loop and finds a `backward(retain_graph=True)` that is alone in each of them: no other
    `backward` and no `autograd.grad` comes before the next step, and no later graph leads into an earlier one.

    ## Why it matters
    What the graph has saved is kept until its loss is let go: until the next iteration has computed its own, so that
    two graphs are in memory at the same time.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(4):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward(retain_graph=True)
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(4):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            optimizer.step()
    ```
    """

    code = "TCK430"
    name = "needless-retain-graph"
    severity = Severity.INFO
    since = "0.1.0"

    def check(self, event: LoopFollowed) -> Iterator[Finding]:
        """Look for steps with one backward pass each."""
        found = [
            [call for call in each if call.kind in (CallKind.BACKWARD, CallKind.DIFFERENTIATED)]
            for each in between_steps(event.calls)
        ]
        passes = [call for each in found for call in each]
        is_alone = all(len(each) <= 1 for each in found) and len(of_kind(event.calls, CallKind.STEP)) >= _STEPS
        is_retained = all(call.retains_graph and call.reads_older_graph is False for call in passes)
        if len(passes) >= _STEPS and is_alone and is_retained and is_one_site(passes):
            site = passes[0].site
            yield self.finding(
                "the graph is retained in each step, and nothing uses it again",
                label="keeps the graph",
                expected="backward() frees the graph",
                got=f"retain_graph=True in {len(passes)} steps, with one backward pass each",
                site=site,
                help=_without(site.code) if site is not None else "",
            )


def _without(code: str) -> str:
    for spelled in _SPELLED:
        for found in (f", {spelled}", f"{spelled}, ", spelled):
            if code.count(found) == 1:
                return code.replace(found, "")
    return ""
