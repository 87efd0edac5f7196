"""TCK107."""

from collections.abc import Iterator

from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.promotions import Promotion, parameter_dtypes, promotions
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits


class Float64CreepsIn(Rule[StepTraced]):
    """The loss is computed in float64, because something without an asked dtype came in as that.

    ## What it does
    Finds where, in the first step, what a float32 model computed meets a tensor of float64, as `torch.from_numpy` makes
    of what NumPy computes by default, and the result leads on with a gradient.

    ## Why it matters
    Nothing raises. All that follows is computed and kept in float64: twice the memory, and on most accelerators many
    times slower. On some it does not exist at all.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        prices = torch.tensor(torch.arange(8.0).view(8, 1).numpy().astype("d"))
        nn.functional.l1_loss(model(torch.rand(8, 4)), prices).backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        prices = torch.tensor(torch.arange(8.0).view(8, 1).numpy().astype("d"), dtype=torch.float32)
        nn.functional.l1_loss(model(torch.rand(8, 4)), prices).backward()
        optimizer.step()
    ```

    ## Limits
    A cast that was written, a dtype that is named where the tensor is made, and numbers without dims are silent: these
    are meant. So is a model with parameters of float64.
    """

    code = "TCK107"
    name = "float64-creeps-in"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StepTraced) -> Iterator[Finding]:
        """The operations of the first step in which both met."""
        if "float64" in parameter_dtypes(event.trace):
            return
        for promotion in promotions(event.trace, ("float32", "float16", "bfloat16"), "float64"):
            yield self._of(promotion)

    def _of(self, promotion: Promotion) -> Finding:
        narrow, wide, site = promotion.narrow, promotion.wide, promotion.site
        met = Related(promotion.operation.site, "it meets the model's here") if promotion.operation.site else None
        return self.finding(
            first_that_fits(f"`{wide.name}` is float64 beside a model of {narrow.meta.dtype}", _HEADLINE)
            if wide.name
            else _HEADLINE,
            label=wide.meta.notation,
            expected=f"{narrow.meta.dtype}    as what the model computed",
            got=f"{wide.meta.notation}    the result is float64 from here on",
            site=site,
            related=each_line_once((met,), site) if met is not None else (),
            help=f"{wide.name}.float()" if wide.name.isidentifier() and narrow.meta.dtype == "float32" else "",
        )


_HEADLINE = "float64 comes in where the model computes in less"
