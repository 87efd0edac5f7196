"""TCK221."""

from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.elementwise import is_loss
from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Trace
from tensorcheck.wording import each_line_once, first_that_fits, short


class FlattenedApart(Rule[StepTraced]):
    """Logits and targets are flattened in different orders, so that each logit meets the target of another place.

    ## What it does
    Follows what a loss is given back to where it was flattened. It finds logits `[time, batch, classes]` against
    targets `[batch, time]`, and logits that have the classes second, as convolutions give them, and were flattened as
    if they came last.

    ## Why it matters
    The sizes fit, so nothing raises, and the loss even falls a little, as far as the frequencies of the classes go.

    ## Example
    ```python
    model = nn.Conv2d(3, 5, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        logits, masks = model(torch.rand(2, 3, 8, 8)), torch.randint(5, (2, 8, 8))
        nn.functional.cross_entropy(logits.view(-1, 5), masks.view(-1)).backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Conv2d(3, 5, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        logits, masks = model(torch.rand(2, 3, 8, 8)), torch.randint(5, (2, 8, 8))
        nn.functional.cross_entropy(logits, masks).backward()
        optimizer.step()
    ```

    ## Limits
    The first step is looked at. Dims of one size can't be told apart.
    """

    code = "TCK221"
    name = "flattened-apart"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StepTraced) -> Iterator[Finding]:
        """The losses of the first step."""
        for operation in event.trace.operations:
            if is_loss(operation) and len(operation.inputs) >= _PAIR:
                yield from self._of_loss(event.trace, operation)

    def _of_loss(self, trace: Trace, loss: Operation) -> Iterator[Finding]:
        logits, targets = (_flattening(trace, place) for place in loss.inputs[:_PAIR])
        if logits is None or len(logits.after) != _PAIR:
            return
        classes = logits.after[1]
        order = _order(logits.before, classes, targets.before if targets is not None else ())
        if not order:
            return
        site = logits.site
        code = short(site.code) if site is not None else "the logits"
        yield self.finding(
            first_that_fits(
                f"`{code}` flattens {list(logits.before)} in another order than the targets",
                "logits are flattened in another order than their targets",
            ),
            label=f"{list(logits.before)} becomes {list(logits.after)}",
            expected=f"a row of {classes} logits for each target",
            got=order,
            site=site,
            module=logits.module or None,
            related=each_line_once(list(_places(targets, loss)), site),
        )


_PAIR = 2
_PLANES = 3
_RESHAPES = frozenset({"view", "reshape", "flatten"})
_PASSING = frozenset(
    ["contiguous", "float", "long", "to", "log_softmax", "softmax", "clone", "detach", "squeeze", "cuda", "cpu", "half"]
)


@dataclass(frozen=True, slots=True)
class _Flattening:
    before: tuple[int, ...]
    after: tuple[int, ...]
    site: Site | None
    module: str


def _flattening(trace: Trace, place: int) -> _Flattening | None:
    """Where a value lost dims, with nothing but functions of each element since."""
    while (made := trace.values[place].operation) is not None:
        operation = trace.operations[made]
        source = next(iter(operation.inputs), None)
        if source is None:
            return None
        before, after = trace.values[source].meta.shape, trace.values[place].meta.shape
        if operation.name in _RESHAPES and len(before) > len(after):
            return _Flattening(before, after, operation.site, operation.module)
        if operation.name not in _PASSING or before != after:
            return None
        place = source
    return None


def _order(logits: tuple[int, ...], classes: int, targets: tuple[int, ...]) -> str:
    """In words, how the order of the logits differs from that of the targets; empty where it does not."""
    if len(logits) >= _PLANES and logits[1] == classes and classes not in logits[2:]:
        return f"the classes are dim 1 of {list(logits)}, and were flattened as if they were the last"
    is_turned = len(targets) == _PAIR and logits == (*targets[::-1], classes) and targets[0] != targets[1]
    return f"logits run over {list(logits[:2])}, targets over {list(targets)}" if is_turned else ""


def _places(targets: _Flattening | None, loss: Operation) -> Iterator[Related]:
    if targets is not None and targets.site is not None:
        yield Related(targets.site, f"the targets, {list(targets.before)}, are flattened here")
    if loss.site is not None:
        yield Related(loss.site, "they meet here")
