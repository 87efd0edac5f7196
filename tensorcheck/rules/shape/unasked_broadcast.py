"""TCK213."""

from collections.abc import Iterator

from tensorcheck.events.traced import LaterTraced, StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.broadcasts import Meeting, chance_meetings
from tensorcheck.knowledge.squeezing import squeezed
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits


class UnaskedBroadcast(Rule[StepTraced | LaterTraced]):
    """An operation combines every sample with every other one, because its operands broadcast.

    ## What it does
    Finds sums, products and the like of `[32, 1]` and `[32]`, or of `[8, 1, 28, 28]` and `[8, 28, 28]`, where a layer,
    a `gather` or a batch gave the dim that is too many, and everything that is made of the pairs is one number.
    Differences and comparisons are told of by TCK202.

    ## Why it matters
    Nothing raises. A weight for each sample, a reward or a bonus is spread over all samples, so that the result says
    nothing of any of them, and memory grows with the square of the batch.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    prices, weights = torch.rand(32, 1), torch.rand(32)
    with tensorcheck.watch(model) as watch:
        errors = (model(torch.rand(32, 4)) - prices) ** 2
        loss = (errors * weights).mean()
        loss.backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    prices, weights = torch.rand(32, 1), torch.rand(32)
    with tensorcheck.watch(model) as watch:
        errors = (model(torch.rand(32, 4)) - prices) ** 2
        loss = (errors.squeeze(1) * weights).mean()
        loss.backward()
        optimizer.step()
    ```

    ## Limits
    It is silent where a dim was put in by hand, by `unsqueeze`, `None`, `view` or `keepdim`, where both operands come
    from one tensor, and where anything but one number is made of the pairs.
    """

    code = "TCK213"
    name = "unasked-broadcast"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StepTraced | LaterTraced) -> Iterator[Finding]:
        """The operations of a traced step that made pairs, but for those of losses and metrics."""
        for meeting in chance_meetings(event.trace):
            if not (meeting.is_difference or meeting.is_comparison):
                yield self._of(meeting)

    def _of(self, meeting: Meeting) -> Finding:
        site, left, right = meeting.operation.site, meeting.left, meeting.right
        code = site.code if site is not None else meeting.operation.name
        column, row = (left, right) if meeting.column_is_left else (right, left)
        places = [
            Related(place, f"the {list(meta.shape)} is made here")
            for place, meta in ((meeting.made, column), (meeting.row, row))
            if place is not None
        ]
        return self.finding(
            first_that_fits(
                f"`{code}` combines {list(left.shape)} with {list(right.shape)} as {list(meeting.result)}",
                f"{list(left.shape)} and {list(right.shape)} are combined as {list(meeting.result)}",
                "all samples of a batch are combined with all others",
            ),
            label=f"{left.notation} and {right.notation}",
            expected=f"{list(row.shape)}    one number for each sample",
            got=f"{list(meeting.result)}    each sample meets all others",
            site=site,
            related=each_line_once(places, site),
            help=squeezed(code, meeting.dim, column_is_left=meeting.column_is_left),
        )
