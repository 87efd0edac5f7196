"""TCK603."""

from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.numeric import ZeroMet
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class UnguardedZero(Rule[ZeroMet]):
    """Something is divided by zero or nearly zero, or a logarithm is taken of it, with nothing that guards against it.

    ## What it does
    Looks at the divisions, logarithms and standard deviations of your own lines in the first steps. One without a
    gradient made a NaN or an infinity that reached the loss; or one gave enormous numbers for ordinary ones, because
    it was given less than any small number that is added as a guard.

    ## Why it matters
    A column that never changes has a standard deviation of zero, an empty mask a sum of zero. What comes out is NaN for
    one batch in a thousand, and after it every weight is.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    table = torch.rand(8, 4)
    table[:, 2] = 1.0
    with tensorcheck.watch(model) as watch:
        rows = (table - table.mean(0)) / table.std(0)
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    table = torch.rand(8, 4)
    table[:, 2] = 1.0
    with tensorcheck.watch(model) as watch:
        rows = (table - table.mean(0)) / (table.std(0) + 1e-6)
        model(rows).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    Infinities that are replaced before the loss are silent, as those of an inverse degree. What has a gradient and is
    not finite is told of by non-finite-forward and non-finite-gradient.
    """

    code = "TCK603"
    name = "unguarded-zero"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ZeroMet) -> Iterator[Finding]:
        """Report it where it is computed; what the loss was lost by is certain."""
        code = short(event.site.code)
        what = "is zero" if event.zeros else f"comes down to {event.lowest:.1g}"
        of = _OPERANDS.get(event.function, "what it divides by")
        finding = self.finding(
            first_that_fits(f"in `{code}` {of} {what}", f"{of} {what}"),
            label=f"{of} {what}",
            expected=f"{of} that stays away from zero",
            got=f"{event.zeros} of {event.size} values are zero" if event.zeros else f"{event.lowest:.2g} at the least",
            site=event.site,
            notes=("the loss is not finite by it",) if event.is_lost else ("what comes out is enormous",),
            help=_HELP.get(event.function, "add a small number to what it divides by: `/ (... + 1e-6)`"),
        )
        yield replace(finding, severity=Severity.ERROR) if event.is_lost else finding


_OPERANDS = {
    **dict.fromkeys(("log", "log2", "log10"), "what the logarithm is taken of"),
    **dict.fromkeys(("std", "var"), "the spread"),
}
_HELP = {
    **dict.fromkeys(("log", "log2", "log10"), "torch.log(x.clamp(min=1e-8))"),
    **dict.fromkeys(("std", "var"), "unbiased=False, where there may be one value alone"),
}
