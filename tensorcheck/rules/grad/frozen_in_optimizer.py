"""TCK419."""

from collections.abc import Iterator

from tensorcheck.events.optimizer import OptimizerSeen
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.wording import counted


class FrozenInOptimizer(Rule[OptimizerSeen]):
    """A group of an optimizer holds nothing but frozen parameters.

    ## What it does
    When an optimizer of several groups steps for the first time, looks for groups without a parameter that requires a
    gradient.

    ## Why it matters
    Whoever gives parameters a group of their own, with a learning rate or a weight decay of its own, means them to
    move. While they are frozen the group does nothing at all.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model[0].requires_grad_(False)
    slow, fast = {"params": model[0].parameters(), "lr": 0.001}, {"params": model[2].parameters()}
    optimizer = torch.optim.SGD([slow, fast], lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(16, 4)).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    slow, fast = {"params": model[0].parameters(), "lr": 0.001}, {"params": model[2].parameters()}
    optimizer = torch.optim.SGD([slow, fast], lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(16, 4)).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    A frozen backbone among the parameters of the only group is usual, costs nothing, and is silent. A group that is to
    be unfrozen later is told, and rightly there.
    """

    code = "TCK419"
    name = "frozen-in-optimizer"
    severity = Severity.INFO
    since = "0.1.0"

    def check(self, event: OptimizerSeen) -> Iterator[Finding]:
        """Report all such groups in one finding; where everything is frozen, TCK403 says so."""
        names = [name for group in event.frozen_groups for name in group]
        if names and len(event.held_frozen) < len(event.held):
            groups = counted(len(event.frozen_groups), "group")
            yield self.finding(
                f"{groups} of `{event.kind}` hold{'s' * (len(event.frozen_groups) == 1)} frozen parameters alone",
                label="does nothing for these",
                expected="a parameter that requires a gradient in each group",
                got=f"frozen: {listed_parameters(names, event.kinds)}",
                site=event.built or event.site,
                related=(Related(event.site, "it steps here"),) if event.built and event.site else (),
            )
