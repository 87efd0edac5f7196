"""TCK814."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import StatesCollected
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, short


class StateByReference(Rule[StatesCollected]):
    """States of different steps are collected without a copy, so all of them are the last one.

    ## What it does
    Finds a list, or a dictionary by epochs, that a model's `state_dict()` is put into again and again while the model
    is trained, where each of them holds the parameters themselves.

    ## Why it matters
    `state_dict()` copies nothing. A history of weights, an average over epochs, or the clients' weights in federated
    learning are as many names for the present weights.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = []
    with tensorcheck.watch(model) as watch:
        for epoch in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
            history.append(model.state_dict())
    ```

    ## Use instead
    ```python
    import copy

    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = []
    with tensorcheck.watch(model) as watch:
        for epoch in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
            history.append(copy.deepcopy(model.state_dict()))
    ```

    ## Limits
    One state that is kept as the best is TCK515's. A dictionary that is saved and then filled anew is silent.
    """

    code = "TCK814"
    name = "state-by-reference"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StatesCollected) -> Iterator[Finding]:
        """Say what is collected, and what it is."""
        yield self.finding(
            first_that_fits(
                f"the {counted(event.states, 'state')} in `{short(event.container)}` are one: the model's own weights",
                f"{counted(event.states, 'state')} are one: the model's own weights",
            ),
            label="no copy of the weights",
            expected=f"{counted(event.states, 'state')} of different steps",
            got=f"the present weights {event.states} times    {counted(event.steps, 'step')} after the first",
            site=event.taken,
            help=f"copy.deepcopy({event.taken.code})" if event.taken.code.endswith(".state_dict()") else "",
        )
