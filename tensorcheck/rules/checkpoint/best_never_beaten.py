"""TCK813."""

from collections.abc import Iterator

from tensorcheck.events.checkpoint import BestStuck
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.directions import lower_is_better
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits


class BestNeverBeaten(Rule[BestStuck]):
    """The best value so far begins with a number that nothing beats, so no weights are ever kept.

    ## What it does
    Reads the running loop: where it keeps weights, or starts to wait anew, if a value is higher than infinity, or lower
    than a best that began with zero though the value is above zero.

    ## Why it matters
    The comparison never holds: no best checkpoint is written, or an old one of that name is loaded at the end, and
    early stopping stops for no reason.

    ## Example
    ```python
    import copy

    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    best_acc = float("inf")
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            optimizer.step()
            acc = 1.0 - loss.item()
            if acc > best_acc:
                best_acc = acc
                best = copy.deepcopy(model.state_dict())
    ```

    ## Use instead
    ```python
    import copy

    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    best_acc = float("-inf")
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            optimizer.step()
            acc = 1.0 - loss.item()
            if acc > best_acc:
                best_acc = acc
                best = copy.deepcopy(model.state_dict())
    ```

    ## Limits
    A comparison that goes the wrong way round by its names is TCK516's. One in a function that is not running when the
    optimizer steps is silent.
    """

    code = "TCK813"
    name = "best-never-beaten"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: BestStuck) -> Iterator[Finding]:
        """Say what it began with, and what would do."""
        is_loss = lower_is_better(event.current, event.best)
        if is_loss is not None and is_loss is not event.when_lower:
            return
        start = "zero" if not event.start else "infinity" if event.start > 0 else "minus infinity"
        wanted = "lower" if event.when_lower else "higher"
        got = (
            f"{start}    the value is {event.value:.4g}" if event.value is not None else f"{start}    beaten by nothing"
        )
        yield self.finding(
            first_that_fits(
                f"`{event.current}` is never {wanted} than `{event.best}`, which begins with {start}",
                f"the best value begins with {start}, and no value is {wanted}",
            ),
            label="nothing beats this",
            expected=f"`{event.best}` begins with {'' if event.when_lower else 'minus '}infinity",
            got=got,
            site=event.built or event.site,
            related=each_line_once([Related(event.site, "compared here")], event.built or event.site),
            help=f"{event.best} = float('{'inf' if event.when_lower else '-inf'}')",
        )
