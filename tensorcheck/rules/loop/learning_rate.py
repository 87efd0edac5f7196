"""TCK508."""

from collections.abc import Iterator

from tensorcheck.events.schedule import RateDied, RateSeen
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule

_ABSURD = {
    **dict.fromkeys(("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "SparseAdam", "RMSprop"), 1.0),
    "Adagrad": 10.0,
    "SGD": 100.0,
    "ASGD": 100.0,
}
"""From which rate on, by the optimizer's class. The step of an Adam or RMSprop is about as large as its learning rate,
and the weights of a network are below 1. Adadelta, Rprop and LBFGS have 1 by default and are left out."""
_PART = 2
_WARM_UP = 5
"""So many steps of a schedule that begins at 0 are a warm-up that has yet to rise."""
_LEAST = 10
"""So many steps, and the second half of all, have to be in vain before a schedule is said to have died."""


class LearningRate(Rule[RateSeen | RateDied]):
    """The learning rate is zero for good, or absurd for its optimizer.

    ## What it does
    Reads the learning rates at each step. Finds optimizers that stepped with a rate of 0 from their first step to their
    last, or with a 10-billionth of what it once was for half of all steps and more; and those whose rate is so large in
    the first three steps that no network survives it: 1 for an Adam, AdamW or RMSprop, 100 for SGD.

    ## Why it matters
    With a rate of 0 nothing is learned, and nothing says so: `lr=1 // 1000` is 0. With a rate of 1, each step of an
    Adam moves each weight by about 1, which is more than the weight itself.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1 // 1000)
    with tensorcheck.watch(model) as watch:
        for step in range(12):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1 / 1000)
    with tensorcheck.watch(model) as watch:
        for step in range(12):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    A warm-up that starts at 0, a search for a learning rate and a group of parameters whose rate alone is 0 are silent.
    Learning rates that are tensors are not read.
    """

    code = "TCK508"
    name = "learning-rate"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: RateSeen | RateDied) -> Iterator[Finding]:
        """Judge a rate at the start, or one at the end."""
        match event:
            case RateSeen() if event.rate >= _ABSURD.get(event.kind, float("inf")):
                yield self._absurd(event)
            case RateDied(highest=0.0) if event.dead >= _LEAST and not _may_warm_up(event):
                yield self._zero(event)
            case RateDied() if event.highest and event.dead >= max(_LEAST, event.steps / _PART):
                yield self._died(event)
            case _:
                pass

    def _absurd(self, event: RateSeen) -> Finding:
        return self.finding(
            f"`{event.kind}` steps with a learning rate of {event.rate:g}",
            label=f"lr={event.rate:g}",
            expected=f"far below {_ABSURD[event.kind]:g}",
            got=f"lr={event.rate:g} from the first step on",
            site=event.built or event.site,
            related=(Related(event.site, "it steps here"),) if event.built and event.site else (),
        )

    def _zero(self, event: RateDied) -> Finding:
        return self.finding(
            f"`{event.kind}` takes {event.steps} steps with a learning rate of 0",
            label="the learning rate is 0",
            expected="a learning rate above 0",
            got=f"lr=0 in all {event.steps} steps",
            site=event.built or event.site,
            related=(Related(event.site, "it steps here"),) if event.built and event.site else (),
        )

    def _died(self, event: RateDied) -> Finding:
        by = f"`{event.scheduler}` takes it there" if event.scheduler else "it was taken there"
        return self.finding(
            f"the learning rate of `{event.kind}` is {event.rate:.1g} in its last {event.dead} steps",
            label="shrinks the learning rate to nothing" if event.scheduler else "steps in vain",
            expected=f"a learning rate that moves something, of {event.highest:g} at its highest",
            got=f"lr={event.rate:.1g} in {event.dead} of {event.steps} steps: {by}",
            site=event.built or event.site,
            related=(Related(event.site, "it steps here"),) if event.built and event.site else (),
        )


def _may_warm_up(event: RateDied) -> bool:
    return event.has_schedule and event.schedule_steps < _WARM_UP
