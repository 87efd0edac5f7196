"""TCK516."""

import re
from collections.abc import Iterator

from tensorcheck.events.checkpoint import BestCompared
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.directions import lower_is_better
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class EarlyStoppingReversed(Rule[BestCompared]):
    """The best weights are chosen by a comparison that goes the wrong way round.

    ## What it does
    Reads the running loop: where it keeps weights, or starts to wait anew, if a loss is higher than the best so far, or
    an accuracy lower.

    ## Why it matters
    The worst checkpoint is kept as the best one, or none ever is, and early stopping ends the training just as it gets
    better.

    ## Example
    ```python
    import copy

    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    best_loss = 0.0
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            optimizer.step()
            val_loss = loss.item()
            if val_loss > best_loss:
                best_loss = val_loss
                best = copy.deepcopy(model.state_dict())
    ```

    ## Use instead
    ```python
    import copy

    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    best_loss = float("inf")
    with tensorcheck.watch(model) as watch:
        for epoch in range(2):
            optimizer.zero_grad()
            loss = model(torch.rand(16, 4)).square().mean()
            loss.backward()
            optimizer.step()
            val_loss = loss.item()
            if val_loss < best_loss:
                best_loss = val_loss
                best = copy.deepcopy(model.state_dict())
    ```

    ## Limits
    Which way is better is known from the names alone: those that speak of a loss, an error or a perplexity, and of an
    accuracy, an F1, an AUC and the like. A name that says neither or both, a negated value, and the name of a maximum
    of losses are silent, and so is a comparison in a function that is not running when the weights are taken or moved.
    """

    code = "TCK516"
    name = "early-stopping-reversed"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: BestCompared) -> Iterator[Finding]:
        """Compare the way round with what the names say."""
        is_loss = lower_is_better(event.current, event.best)
        if is_loss is None or event.is_negated or event.when_lower is is_loss:
            return
        yield self._finding(event, is_loss=is_loss)

    def _finding(self, event: BestCompared, *, is_loss: bool) -> Finding:
        wrong, right = ("higher", "lower") if is_loss else ("lower", "higher")
        return self.finding(
            first_that_fits(
                f"the best `{event.current}` is taken to be the {wrong[:-2]}est",
                f"the {wrong[:-2]}est value is taken to be the best",
            ),
            label=f"kept if it is {wrong}",
            expected=f"kept if `{event.current}` is {right} than `{event.best}`",
            got=f"kept if `{event.current}` is {wrong} than `{event.best}`",
            site=event.site,
            help=_turned(event.site.code),
        )


_OPPOSITE = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _turned(code: str) -> str:
    """The comparison the other way round."""
    return re.sub(r"<=|>=|<|>", lambda found: _OPPOSITE[found[0]], code, count=1)
