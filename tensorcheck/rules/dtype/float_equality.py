"""TCK118."""

from collections.abc import Iterator

from tensorcheck.events.numbers import NeverEqual
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class FloatEquality(Rule[NeverEqual]):
    """What a model computed is compared with its targets by `==`, and two real numbers are hardly ever equal.

    ## What it does
    Looks at the comparisons by `==` and `!=` in the first steps and in evaluations between them: on one side are real
    numbers that the model computed, not rounded, and not one of them equals its counterpart.

    ## Why it matters
    An accuracy that is computed so is 0 forever, however good the model is. What is compared with a label has to be a
    decision first: the class with the highest logit, or whether a probability is above a half.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labels = torch.tensor([0.0, 1.0] * 8).view(16, 1)
    with tensorcheck.watch(model) as watch:
        chances = model(torch.rand(16, 4))
        nn.functional.binary_cross_entropy(chances, labels).backward()
        optimizer.step()
        accuracy = (chances == labels).float().mean()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labels = torch.tensor([0.0, 1.0] * 8).view(16, 1)
    with tensorcheck.watch(model) as watch:
        chances = model(torch.rand(16, 4))
        nn.functional.binary_cross_entropy(chances, labels).backward()
        optimizer.step()
        accuracy = ((chances > 0.5) == labels.bool()).float().mean()
    ```

    ## Limits
    Comparisons with zero, with a number, and of what a model computed with something else that it did, as with its own
    maximum, are silent; so are those of fewer than eight numbers.
    """

    code = "TCK118"
    name = "float-equality"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: NeverEqual) -> Iterator[Finding]:
        """Report the line that compares."""
        code = short(event.site.code)
        yield self.finding(
            first_that_fits(
                f"`{code}` compares real numbers: none of {event.count} are equal",
                f"real numbers are compared for equality: none of {event.count} are equal",
            ),
            label="hardly ever true",
            expected="a decision, such as a class or a side of a threshold, or a tolerance",
            got=f"{event.computed.notation} of the model beside {event.other.notation}    0 of {event.count} are equal",
            site=event.site,
            help="of logits: scores.argmax(1) == labels; of chances: (chances > 0.5) == labels.bool(); "
            "of numbers: torch.isclose",
        )
