"""TCK604."""

import re
from collections.abc import Iterator

from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.trace import Operation, Trace


class LogOfSoftmax(Rule[StepTraced]):
    """The logarithm of a softmax or a sigmoid is taken in two steps, the first of which rounds to zero.

    ## What it does
    Finds a `log` in the first step that is given what a `softmax` or a `sigmoid` made, or one minus that, with views
    and an index in between, and whose result has a gradient.

    ## Why it matters
    In float32 a softmax is exactly 0 for logits that lie 104 below the highest, and one minus a sigmoid for logits
    above 17. The logarithm is minus infinity then, and the gradient NaN: in the middle of a run, when the model is sure
    for the first time. `log_softmax` and `logsigmoid` compute the same at once, and are exact.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        chances = torch.softmax(model(torch.rand(8, 4)), dim=1)
        loss = -torch.log(chances[:, 0]).mean()
        loss.backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        logarithms = torch.log_softmax(model(torch.rand(8, 4)), dim=1)
        loss = -logarithms[:, 0].mean()
        loss.backward()
        optimizer.step()
    ```

    ## Limits
    A probability that is clamped, or that a small number was added to, is silent, and so is a logarithm without a
    gradient.
    """

    code = "TCK604"
    name = "log-of-softmax"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StepTraced) -> Iterator[Finding]:
        """Report each softmax once, at the first logarithm of it."""
        told: set[Operation] = set()
        for operation in event.trace.operations:
            source = _source(event.trace, operation)
            if source is not None and source not in told and not told.intersection(_same_line(told, operation)):
                told |= {source, operation}
                yield self._finding(operation, source)

    def _finding(self, operation: Operation, source: Operation) -> Finding:
        instead = _INSTEAD[source.name]
        shown = source.site is not None and operation.site is not None and source.site.line != operation.site.line
        related = (Related(source.site, f"the {source.name} is taken here"),) if shown and source.site else ()
        return self.finding(
            f"`{operation.name}` of a {source.name} is infinite where that rounds to 0",
            label=f"is given a {source.name}",
            expected=f"`{instead}` of the logits",
            got=f"`{operation.name}` of `{source.name}`",
            site=operation.site,
            module=operation.module or None,
            related=related,
            help=_HELP[source.name],
        )


_LOGARITHMS = frozenset({"log", "log2", "log10", "log_"})
_INSTEAD = {"softmax": "log_softmax", "sigmoid": "logsigmoid"}
_HELP = {
    "softmax": "torch.log_softmax(logits, dim)",
    "sigmoid": "torch.nn.functional.logsigmoid(logits); of one minus it, logsigmoid(-logits)",
}
_PASSING = frozenset(
    {
        "__getitem__",
        "gather",
        "select",
        "index_select",
        "take_along_dim",
        "squeeze",
        "unsqueeze",
        "view",
        "reshape",
        "flatten",
        "permute",
        "transpose",
        "t",
        "T",
        "contiguous",
        "float",
        "to",
        "type",
        "rsub",
        "__rsub__",
        "expand",
        "expand_as",
        "diagonal",
        "narrow",
        "split",
        "chunk",
        "unbind",
    }
)
"""Functions after which a zero is a zero still, or a one has become one."""
_MOST = 12
"""Steps on the way back."""


def _same_line(told: set[Operation], operation: Operation) -> set[Operation]:
    """Those of them that stand on its line: the two logarithms of a cross-entropy are one mistake."""
    line = operation.site and (operation.site.file, operation.site.line)
    return {each for each in told if line and each.site and (each.site.file, each.site.line) == line}


def _source(trace: Trace, operation: Operation) -> Operation | None:
    """The softmax that a logarithm of the user's own, with a gradient, was given."""
    is_own = operation.site is not None and re.search(r"\blog(2|10)?_?\(", operation.site.code) is not None
    if operation.name not in _LOGARITHMS or not is_own or not operation.inputs:
        return None
    if not any(trace.values[place].meta.requires_grad for place in operation.outputs):
        return None
    place = operation.inputs[0]
    for _ in range(_MOST):
        made = trace.values[place].operation
        before = trace.operations[made] if made is not None else None
        if before is None or not before.inputs:
            return None
        if before.name in _INSTEAD:
            return before
        if before.name not in _PASSING:
            return None
        place = before.inputs[0]
    return None
