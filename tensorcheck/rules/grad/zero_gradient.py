"""TCK434."""

from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.gradients import GradientsZero
from tensorcheck.events.numeric import ActivationSaturated, UnitsDead
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.wording import counted


class ZeroGradient(Rule[GradientsZero | UnitsDead | ActivationSaturated]):
    """Some parameters get gradients that are exactly zero everywhere, step after step.

    ## What it does
    Looks at the gradients' values in the first steps, and a few steps later once more at those that were zero
    everywhere until then. It needs values, so in these steps it waits for the device; at no other.

    ## Why it matters
    A gradient of zeros is no gradient, but nothing that asks for `None` notices. The usual reasons are a layer behind a
    ReLU that never opens, a softmax over one class, a value that `clamp` holds at its limit, and a factor of zero.

    ## Example
    ```python
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 8)
            self.scale = nn.Linear(4, 1)
            self.head = nn.Linear(8, 2)

        def forward(self, rows):
            weights = self.scale(rows).softmax(1)
            return self.head(self.body(rows) * weights)

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(16):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 8)
            self.scale = nn.Linear(4, 1)
            self.head = nn.Linear(8, 2)

        def forward(self, rows):
            weights = self.scale(rows).sigmoid()
            return self.head(self.body(rows) * weights)

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(16):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    Where all gradients of an optimizer are zero it is an info: without a reward, or with every margin kept, there is
    nothing to learn from. A bias alone is silent, which a loss of differences takes away; so is a
    gradient that is zero in the first steps alone, as behind a layer that begins at zero.
    """

    code = "TCK434"
    name = "zero-gradient"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._is_explained = False

    def check(self, event: GradientsZero | UnitsDead | ActivationSaturated) -> Iterator[Finding]:
        """Report all of one optimizer, in one finding, unless an activation was found that lets nothing through."""
        if not isinstance(event, GradientsZero):
            self._is_explained = True
        elif not self._is_explained:
            yield self._finding(event)

    def _finding(self, event: GradientsZero) -> Finding:
        count, is_all = counted(len(event.names), "parameter"), len(event.names) == event.total
        verb = "gets a gradient" if len(event.names) == 1 else "get gradients"
        finding = self.finding(
            f"{count} {verb} of exactly zero everywhere",
            label="its gradient is zero everywhere",
            expected=f"gradients that differ from zero, as those of {event.total - len(event.names)} others do",
            got=f"zeros alone, at each of {counted(event.looks, 'look')}",
            site=next(iter(event.definitions), None) or event.step_site,
            related=() if event.step_site is None else (Related(event.step_site, f"`{event.optimizer}` steps here"),),
            notes=(f"never learns: {listed_parameters(event.names, event.kinds)}",),
        )
        if is_all:
            told = "a loss that changes when the parameters do would make it sure"
            finding = replace(
                finding,
                severity=Severity.INFO,
                expected="gradients that differ from zero",
                notes=(*finding.notes, told),
            )
        return finding
