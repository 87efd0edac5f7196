"""TCK108."""

from collections.abc import Iterator

from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.promotions import Promotion, is_of_parameter, parameter_dtypes, promotions
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits


class PromotedToFloat32(Rule[StepTraced]):
    """Within a model of half precision, something of float32 makes float32 of what is computed.

    ## What it does
    Finds where, in the first step, within a model all of whose parameters are `float16` or `bfloat16`, an activation of
    that dtype meets a tensor of float32 that nobody asked to be so: noise, a constant, a mask, as they are made where
    no dtype is named.

    ## Why it matters
    Nothing raises at that line. All that follows takes twice the memory and is computed several times slower, until a
    cast or the next layer, which raises an error that names neither.

    ## Example
    ```python
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 4)

        def forward(self, rows):
            return self.body(rows) + 0.01 * torch.randn(rows.shape)

    model = Noisy().to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(8, 4, dtype=torch.bfloat16)).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 4)

        def forward(self, rows):
            return self.body(rows) + 0.01 * torch.randn_like(rows)

    model = Noisy().to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(8, 4, dtype=torch.bfloat16)).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    A cast that was written and a dtype that is named are meant, and silent, and so is what is computed outside of the
    model: a loss of float32 is more exact. Models with parameters of float32 too are silent.
    """

    code = "TCK108"
    name = "promoted-to-float32"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StepTraced) -> Iterator[Finding]:
        """The operations of the first step in which both met."""
        dtypes = parameter_dtypes(event.trace)
        if not dtypes or not dtypes <= _HALVES:
            return
        for promotion in promotions(event.trace, tuple(dtypes), "float32"):
            if promotion.operation.kind and not is_of_parameter(promotion):
                yield self._of(promotion)

    def _of(self, promotion: Promotion) -> Finding:
        narrow, wide, site = promotion.narrow, promotion.wide, promotion.site
        met = promotion.operation.site
        headline = f"float32 comes in where the model computes in {narrow.meta.dtype}"
        return self.finding(
            first_that_fits(f"`{wide.name}` is float32 within a model of {narrow.meta.dtype}", headline)
            if wide.name
            else headline,
            label=wide.meta.notation,
            expected=f"{narrow.meta.dtype}    as what the model computes",
            got=f"{wide.meta.notation}    the result is float32 from here on",
            site=site,
            module=promotion.operation.module,
            related=each_line_once((Related(met, "it meets the model's here"),), site) if met and site else (),
            help=f"{wide.name}.to({narrow.name}.dtype)"
            if wide.name.isidentifier() and narrow.name.isidentifier()
            else "dtype=rows.dtype where it is made, or randn_like, zeros_like",
        )


_HALVES = frozenset({"float16", "bfloat16"})
