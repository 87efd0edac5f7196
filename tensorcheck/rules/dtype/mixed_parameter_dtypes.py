"""TCK112."""

from collections.abc import Iterator

from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.promotions import Promotion, is_of_parameter, parameter_dtypes, promotions
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class MixedParameterDtypes(Rule[StepTraced]):
    """A parameter of float64 in a model of float32 makes all that follows float64.

    ## What it does
    Finds a parameter of float64, as `nn.Parameter(torch.from_numpy(...))` makes one, that meets in the first step what
    parameters of float32 computed.

    ## Why it matters
    Nothing raises. What follows is computed and kept in float64, twice as large and on most accelerators many times
    slower, and the optimizer keeps its state in both.

    ## Example
    ```python
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 4)
            self.scale = nn.Parameter(torch.ones(4).double())

        def forward(self, rows):
            return self.body(rows) * self.scale

    model = Scaled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(8, 4)).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 4)
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, rows):
            return self.body(rows) * self.scale

    model = Scaled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(8, 4)).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    Half and float32 side by side are silent: norms and adapters are kept wider on purpose.
    """

    code = "TCK112"
    name = "mixed-parameter-dtypes"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StepTraced) -> Iterator[Finding]:
        """The operations of the first step in which such a parameter met the others' results."""
        if "float32" in parameter_dtypes(event.trace):
            for promotion in promotions(event.trace, ("float32",), "float64"):
                if is_of_parameter(promotion):
                    yield self._of(promotion)

    def _of(self, promotion: Promotion) -> Finding:
        name, site = promotion.source.name, promotion.site
        return self.finding(
            first_that_fits(f"parameter `{name}` is float64 in a model of float32", "a parameter is float64"),
            label=promotion.wide.meta.notation,
            expected="float32    as the other parameters",
            got=f"{promotion.source.meta.notation}    the result is float64 from here on",
            site=site,
            module=promotion.operation.module,
        )
