"""TCK207."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.loss_operands import Misfit, misfits
from tensorcheck.lineage_wording import made
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import first_that_fits, how_it_got_here, label_for

_IS_ABOUT_SHAPES = re.compile(
    r"size|shape|dimension|multi-target|spatial targets|1D|broadcast|_lengths|target with class probabilities",
    re.IGNORECASE,
)
_LOSS_LAYERS = ("AdaptiveLogSoftmaxWithLoss",)


class LossTargetShape(Rule[Crashed]):
    """A loss is given a target, or a weight, whose shape does not fit its predictions.

    ## What it does
    Explains the exception that a loss raises when its operands have shapes that do not go together: which of them it
    is, which shape would fit, and where that tensor came from.

    ## Why it matters
    Each loss has a rule of its own. A loss over classes wants predictions of `[batch, classes, ...]` and targets
    without the dim of the classes, others want two equal shapes. The messages (`0D or 1D target tensor expected,
    multi-target not supported`) say little of this; where the batches differ, the mistake is often in the model.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    labels = torch.zeros(8, 1, dtype=torch.int64)
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(8, 4)), labels)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    labels = torch.zeros(8, 1, dtype=torch.int64)
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(8, 4)), labels.squeeze(1))
    ```
    """

    code = "TCK207"
    name = "loss-target-shape"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the shapes of the failed loss's operands."""
        call = event.call
        is_loss = call is not None and (call.kind == "loss" or call.function in _LOSS_LAYERS)
        if call is None or not is_loss or not _IS_ABOUT_SHAPES.search(event.message):
            return
        misfit = next(misfits(call), None)
        if misfit is not None:
            yield self._found(event, misfit)

    def _found(self, event: Crashed, misfit: Misfit) -> Finding:
        headline = first_that_fits(*misfit.headlines)
        meta, beside = misfit.operand.meta, misfit.beside.meta

        what = f"{meta.shape[0]} rows" if misfit.is_of_batch else str(list(meta.shape))

        def is_guilty(other: TensorMeta) -> bool:
            return other.shape[:1] == meta.shape[:1] if misfit.is_of_batch else other.shape == meta.shape

        is_lone = {meta.shape, beside.shape} == {(), (1,)}  # what makes this batch pass breaks all others
        return self.finding(
            headline,
            label=label_for(headline, f"{meta.notation} beside {beside.notation}", meta.notation),
            expected=f"{misfit.wanted}    for {misfit.beside.name} {beside.notation}",
            got=f"{meta.notation}    {misfit.operand.name}",
            site=misfit.operand.site or event.site,
            related=(*made(misfit.operand, is_guilty, what), *(_source(misfit.beside) if is_lone else ())),
            notes=(_LONE,) if is_lone else (misfit.note,) if misfit.note else (),
            path=how_it_got_here(event.calls),
            fixes=() if is_lone else misfit.fixes,
        )


_LONE = "likely: the batch holds one sample, and a `squeeze()` without a dim took the dim of the batch too"


def _source(operand: Operand) -> tuple[Related, ...]:
    return made(operand, lambda meta: meta.shape == operand.meta.shape, str(list(operand.meta.shape)))
