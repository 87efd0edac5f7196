"""TCK209."""

import re
from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.class_limits import Labels, label_fixes, label_note, labels_of
from tensorcheck.lineage import Lineage
from tensorcheck.lineage_wording import made, written
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import first_that_fits, how_it_got_here, label_for, short

_IS_ABOUT_CLASSES = re.compile(
    r"Target -?\d+ is out of bounds|target out of range|'target' is out of range|Class values must be|blank must be|"
    r"Target values should be in|within the support \(IntegerInterval|non-negative integral|device-side assert"
)


class ClassOutOfRange(Rule[Crashed]):
    """A label names a class that the model does not have.

    ## What it does
    Explains the exception of a loss, of `one_hot` and their like when a label is negative or not below the number of
    classes: the least and the greatest label, the number of classes, and which layer set it.

    ## Why it matters
    `Target 3 is out of bounds` leaves open whether the labels or the model are wrong. Labels that are counted from 1, a
    class that was added later, and a number that marks what has no label (-1, 255) are the usual causes.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    labels = torch.tensor([1, 2, 3])
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(3, 4)), labels)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    labels = torch.tensor([1, 2, 3])
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(3, 4)), labels - 1)
    ```

    ## Limits
    On an accelerator the values of labels are not read.
    """

    code = "TCK209"
    name = "class-out-of-range"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the labels of the failed call with the number of classes."""
        call = event.call
        if call is None or not _IS_ABOUT_CLASSES.search(event.message):
            return
        scores = call.operand("log_probs")
        labels = labels_of(call, event.message)
        if "blank must be" in event.message and scores is not None:
            yield self._blank(event, call, scores)
        elif labels is not None:
            yield self._found(event, call, labels)

    def _found(self, event: Crashed, call: FailedCall, labels: Labels) -> Finding:
        operand, count = labels.operand, labels.count
        limit = _limit(count)
        whose = f"`{short(labels.scores.spelled)}` {limit}" if labels.scores is not None else limit
        got = f"`{call.function}` got label {labels.wrong} but"
        headline = first_that_fits(f"{got} {whose}", f"{got} {limit}", f"{got} has {count} classes")
        span = f"{labels.low} to {labels.high}"
        return self.finding(
            headline,
            label=label_for(headline, f"{operand.meta} of {span}", f"{operand.meta.notation} of {span}"),
            expected=f"{operand.meta.notation} of 0 to {count - 1 if count is not None else '…'}",
            got=f"{operand.meta.notation} of {span}",
            site=operand.site or event.site,
            related=(*made(operand, _is_whole, "a label", makers=()), *_last_layer(labels)),
            notes=(note,) if (note := label_note(call, labels)) else (),
            path=how_it_got_here(event.calls),
            fixes=tuple(label_fixes(call, labels, _code(event), is_module="forward" in event.functions)),
        )

    def _blank(self, event: Crashed, call: FailedCall, scores: Operand) -> Finding:
        blank, count = call.setting("blank"), scores.meta.shape[-1]
        number = blank.value if blank is not None else "a number"
        headline = f"`ctc_loss` got {number} as its `blank` but has {count} classes, 0 to {count - 1}"
        return self.finding(
            headline,
            label=label_for(headline, scores.meta.notation),
            expected=f"blank of 0 to {count - 1}",
            got=f"blank of {number}",
            site=blank.site if blank is not None and blank.site is not None else event.site,
            related=written(blank.lineage, number) if blank is not None else (),
        )


def _limit(count: int | None) -> str:
    if count is None:
        return "counts classes from 0"
    return f"has {count} classes, 0 to {count - 1}" if count != 1 else "has 1 class, 0"


def _code(event: Crashed) -> str:
    return event.site.code if event.site is not None else ""


def _is_whole(meta: TensorMeta) -> bool:
    return not meta.is_floating_point


def _last_layer(labels: Labels) -> Iterator[Related]:
    """Where the layer was built that gives the scores, and where the number of classes was written."""
    lineage = labels.scores.lineage if labels.scores is not None else Lineage()
    layer = next((each for each in lineage.layers() if each.site is not None), None)
    if layer is not None and layer.site is not None:
        yield Related(layer.site, f"`{layer.name}` is built here and gives {labels.count} classes")
        yield from written(lineage.branch(layer), labels.count)
