"""TCK220."""

from collections.abc import Iterator

from tensorcheck.events.backward import LossComputed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.rule import Rule


class OutputsAgainstLabels(Rule[LossComputed]):
    """A cross-entropy over one output, which is 0 whatever the model says.

    ## What it does
    Finds `cross_entropy` of logits that have one class: `[32, 1]`, as a model for two classes with one output gives.

    ## Why it matters
    The probability of the only class is always 1. The loss is 0 from the first step on, no parameter gets a gradient
    other than 0, and nothing raises as long as all labels are 0 or are given as numbers with a fraction.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    ill = torch.randint(2, (32, 1)).float()
    with tensorcheck.watch(model) as watch:
        nn.functional.cross_entropy(model(torch.rand(32, 4)), ill).backward()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    ill = torch.randint(2, (32, 1)).float()
    with tensorcheck.watch(model) as watch:
        nn.functional.binary_cross_entropy_with_logits(model(torch.rand(32, 4)), ill).backward()
    ```

    ## Limits
    Logits of a single sample are silent: of those the one class may be the one sample of a batch. Labels that need more
    outputs than there are raise already; outputs that no label needs are not looked for.
    """

    code = "TCK220"
    name = "outputs-against-labels"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LossComputed) -> Iterator[Finding]:
        """Of a cross-entropy, count the classes."""
        shape = event.input.meta.shape
        if event.function != "cross_entropy" or len(shape) < _WITH_CLASSES or shape[1] != 1 or shape[0] == 1:
            return
        yield self.finding(
            f"`cross_entropy` of {list(shape)} has 1 class to choose from and is always 0",
            label=f"{event.input.meta.notation} against {event.target.meta.notation}",
            expected="a logit for each class, or the loss for one logit",
            got=f"{event.input.meta.notation}    the only class has probability 1",
            site=event.site,
            help=_help(event),
        )


_WITH_CLASSES = 2


def _help(event: LossComputed) -> str:
    """The loss for one logit, where the call spells what it is given."""
    given, target = event.input, event.target
    if given.site is None or target.site is None:
        return ""
    is_row = len(target.meta.shape) < len(given.meta.shape)
    logits = f"{enclosed(given.site.code)}.squeeze(1)" if is_row else given.site.code
    labels = target.site.code if target.meta.is_floating_point else f"{enclosed(target.site.code)}.float()"
    return f"nn.functional.binary_cross_entropy_with_logits({logits}, {labels})"
