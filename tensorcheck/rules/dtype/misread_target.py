"""TCK113."""

from collections.abc import Iterator

from tensorcheck.events.backward import LossComputed, TargetValues
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.number_words import written
from tensorcheck.rule import Rule

_BINARY = "binary_cross_entropy_with_logits"
_OF_SIGNS = ("hinge_embedding_loss", "soft_margin_loss")
_LEAST, _MOST = -0.5, 1.5
"""Beyond what a smoothed label of a GAN may be."""


class MisreadTarget(Rule[LossComputed]):
    """A loss takes targets of this dtype, and reads them as something else than they are.

    ## What it does
    Looks at the targets of a loss once: real numbers that `cross_entropy` takes for probabilities, though they are
    class numbers or mark several classes of a sample; targets of a binary cross-entropy far from 0 and 1; and 0 for a
    loss that knows -1 and 1.

    ## Why it matters
    Nothing raises, and the loss falls, below zero even. Real numbers of the shape of the logits are probabilities to
    `cross_entropy`; a mask of 0 and 255 makes the binary one reward any large logit without end.

    ## Example
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    rows, mask = torch.rand(8, 4), torch.tensor([[0.0], [255.0]] * 4)
    with tensorcheck.watch(model) as watch:
        nn.functional.binary_cross_entropy_with_logits(model(rows), mask).backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    rows, mask = torch.rand(8, 4), torch.tensor([[0.0], [255.0]] * 4) / 255
    with tensorcheck.watch(model) as watch:
        nn.functional.binary_cross_entropy_with_logits(model(rows), mask).backward()
        optimizer.step()
    ```

    ## Limits
    Targets on the CPU are read, in the first batch of each form. With `reduction="none"` or a weight for each element
    they may be masked, and are left alone.
    """

    code = "TCK113"
    name = "misread-target"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: LossComputed) -> Iterator[Finding]:
        """What the loss takes its targets for, and what they are."""
        values = event.target_values
        words = _misread(event, values) if values is not None else None
        if words is not None:
            headline, expected, got, help_ = words
            yield self.finding(
                headline,
                label=event.target.meta.notation,
                expected=expected,
                got=got,
                site=event.target.site or event.site,
                help=help_,
            )


def _misread(event: LossComputed, values: TargetValues) -> tuple[str, str, str, str] | None:
    """The headline, what was expected, what came, and what to do."""
    spread = f"from {written(values.lowest)} to {written(values.highest)}"
    code = event.target.site.code if event.target.site is not None else ""
    if event.function == _BINARY and not _LEAST <= values.lowest <= values.highest <= _MOST:
        help_ = f"{code} / 255" if code.isidentifier() and (values.lowest, values.highest) == (0, 255) else ""
        return f"a binary cross-entropy is given targets {spread}", "targets from 0 to 1", f"targets {spread}", help_
    if event.function in _OF_SIGNS and values.is_whole and (values.lowest, values.highest) == (0, 1):
        help_ = f"2 * {code} - 1" if code.isidentifier() else ""
        return f"{event.function} is given targets of 0 and 1", "targets of -1 and 1", "targets of 0 and 1", help_
    if event.function == "cross_entropy" and values.is_whole and values.hot > 1:
        return _as_probabilities(event, values, code)
    return None


def _as_probabilities(event: LossComputed, values: TargetValues, code: str) -> tuple[str, str, str, str]:
    """Of `cross_entropy`: one row for the whole batch, classes that exclude each other and do not, or class numbers."""
    shape = list(event.target.meta.shape)
    got = f"{values.hot} of them are not 0, up to {written(values.highest)}"
    if len(shape) == 1:
        headline = f"cross_entropy takes {shape[0]} targets for one sample of {shape[0]} classes"
        return headline, f"int64[{shape[0]}] beside logits of [{shape[0]}, classes]", got, ""
    if values.lowest == 0 and values.highest == 1:
        headline = "cross_entropy is given several classes of one sample"
        logits = event.input.site.code if event.input.site is not None else ""
        is_short = logits and code
        help_ = f"nn.functional.binary_cross_entropy_with_logits({logits}, {code})" if is_short else ""
        return headline, "probabilities that sum up to 1", f"{values.hot} classes of 1 in one sample", help_
    return (
        "cross_entropy takes class numbers for probabilities",
        f"int64 class numbers without the dim of {shape[1]}",
        got,
        "",
    )
