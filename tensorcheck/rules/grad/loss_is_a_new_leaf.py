"""TCK416."""

from collections.abc import Iterator

from tensorcheck.events.gradients import LossWasLeaf
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits, short


class LossIsANewLeaf(Rule[LossWasLeaf]):
    """`backward` is called on a tensor that was made anew and asks for a gradient itself, so no parameter gets one.

    ## What it does
    Finds steps whose `backward` was called on leaves alone, tensors that no operation leads to, after which none of
    the parameters of the optimizer had a gradient.

    ## Why it matters
    `torch.tensor(loss, requires_grad=True)` and `loss.detach().requires_grad_()` silence the exception that a loss
    without a graph raises. `backward` runs, the only gradient is that of the loss itself, and nothing ever learns.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            error = model(torch.rand(8, 4)).square().mean()
            loss = torch.tensor(error.item(), requires_grad=True)
            loss.backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            loss.backward()
            optimizer.step()
    ```

    ## Limits
    Two traced steps must show it, in which the parameters were used and numbers of theirs went into the leaf or into
    Python. So a zero that stands for a batch without anything to learn from is silent.
    """

    code = "TCK416"
    name = "loss-is-a-new-leaf"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: LossWasLeaf) -> Iterator[Finding]:
        """Report it at the line that made the leaf."""
        made = event.made.site if event.made is not None else None
        name = _root(event.backward)
        yield self.finding(
            first_that_fits(
                f"`{name}` is a new leaf: backward reaches none of {counted(len(event.names), 'parameter')}",
                f"the loss is a new leaf: backward reaches none of {counted(len(event.names), 'parameter')}",
            ),
            label="a new tensor, which nothing leads to",
            expected="a loss that was computed from the parameters",
            got="a leaf that requires a gradient itself",
            site=made or event.backward,
            related=_related(made, event.backward),
            notes=(f"never learns: {listed_parameters(event.names, event.kinds)}",),
        )


def _root(backward: Site | None) -> str:
    code = backward.code if backward is not None else ""
    return short(code.removesuffix(".backward()")) if code.endswith(".backward()") else "the loss"


def _related(made: Site | None, backward: Site | None) -> tuple[Related, ...]:
    if made is None or backward is None or made.line == backward.line:
        return ()
    return (Related(backward, "`backward` ends where it begins"),)
