"""TCK422."""

import re
from collections.abc import Iterator

from tensorcheck.events.gradients import TensorUnregistered
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import first_that_fits

_MADE = re.compile(r"(?P<to>self\.\w+) = (?P<what>torch\.\w+\(.*\))")


class UnregisteredParameter(Rule[TensorUnregistered]):
    """A module computes with a tensor that wants a gradient and is no `nn.Parameter`, so nothing ever moves it.

    ## What it does
    Finds attributes of the model's modules that require a gradient and get one, that `parameters()` leaves out, that no
    optimizer holds, and that stood still from one traced step to the next.

    ## Why it matters
    Only an `nn.Parameter` is registered. A plain tensor is in no optimizer, is not saved with the model, and does not
    move with it to another device; and arithmetic on a parameter, such as a factor for its initial values, gives a
    plain tensor again.

    ## Example
    ```python
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.scale = torch.ones(4, requires_grad=True)

        def forward(self, rows):
            return self.linear(rows) * self.scale

    model = Scaled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, rows):
            return self.linear(rows) * self.scale

    model = Scaled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    What is updated by hand, or differentiated by `torch.autograd.grad`, is silent. Parameters in plain lists and
    dictionaries are TCK402's.
    """

    code = "TCK422"
    name = "unregistered-parameter"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: TensorUnregistered) -> Iterator[Finding]:
        """Report it where it was made."""
        what = "no `nn.Parameter`" if event.is_leaf else "computed from a parameter, and none itself"
        yield self.finding(
            first_that_fits(
                f"`{event.name}` gets a gradient but is {what}: nothing moves it",
                f"`{event.name}` gets a gradient, and nothing moves it",
                "an attribute gets a gradient, and nothing moves it",
            ),
            label="not registered",
            expected="an `nn.Parameter`, which `parameters()` and the optimizer know",
            got=f"a plain tensor, {event.meta.notation} with requires_grad=True",
            site=event.site or event.step_site,
            module=event.name.rpartition(".")[0],
            related=() if event.site is None or event.step_site is None else (Related(event.step_site, _STEP),),
            help=_registered(event.site) if event.is_leaf else "",
        )


_STEP = "no optimizer holds it, this one neither"


def _registered(site: Site | None) -> str:
    """The statement with an `nn.Parameter` in it."""
    found = _MADE.fullmatch(site.code.removesuffix(".requires_grad_()")) if site is not None else None
    if found is None:
        return ""
    made = re.sub(r",\s*requires_grad\s*=\s*True", "", found["what"])
    return f"{found['to']} = nn.Parameter({made})"
