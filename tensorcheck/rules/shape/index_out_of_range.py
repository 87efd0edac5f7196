"""TCK208."""

from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.index_limits import Excess, excess_of
from tensorcheck.lineage_wording import made, settled, written
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import how_it_got_here, label_for


class IndexOutOfRange(Rule[Crashed]):
    """An index lies outside the tensor that it is for, or outside the table of an embedding.

    ## What it does
    Explains the exception of an embedding, of an indexed tensor, and of `gather`, `index_select`, `narrow`, `topk` and
    their like: which index it is, how far it may go, and where the size of that table was set.

    ## Why it matters
    `index out of range in self` names neither the index, nor the embedding, nor its size. The usual causes are a
    vocabulary that does not count its padding, ids with gaps, and a sequence that is longer than a table of positions.

    ## Example
    ```python
    model = nn.Embedding(10, 4)
    tokens = torch.tensor([[1, 10]])
    with tensorcheck.watch(model) as watch:
        model(tokens)
    ```

    ## Use instead
    ```python
    model = nn.Embedding(11, 4)
    tokens = torch.tensor([[1, 10]])
    with tensorcheck.watch(model) as watch:
        model(tokens)
    ```

    ## Limits
    On an accelerator the values of indices are not read, so that there only PyTorch's own numbers are told.
    """

    code = "TCK208"
    name = "index-out-of-range"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the indices of the failed call with the size that they are for."""
        if event.call is None or event.loading is not None or event.call.kind == "loss":
            return
        excess = excess_of(event.call, event.message)
        if excess is not None:
            yield self._found(event, event.call, excess)

    def _found(self, event: Crashed, call: FailedCall, excess: Excess) -> Finding:
        operand = excess.operand
        meta = operand.meta if operand is not None else None
        span = _span(operand)
        return self.finding(
            excess.headline,
            label=label_for(excess.headline, f"{meta}{span}", f"{meta.notation}{span}", meta.notation) if meta else "",
            expected=excess.wanted,
            got=f"{meta.notation}{span}" if meta is not None else "",
            site=operand.site if operand is not None and operand.site is not None else event.site,
            module=call.module.path if call.module is not None else None,
            related=(
                *(made(operand, _is_whole, "an index", makers=()) if operand is not None and span else ()),
                *(settled(call, call.module, excess.setting) if call.module is not None and excess.setting else ()),
                *(written(excess.index.lineage, excess.index.value) if excess.index is not None else ()),
            ),
            notes=(excess.note,) if excess.note else (),
            path=how_it_got_here(event.calls),
            fixes=excess.fixes,
        )


def _span(operand: Operand | None) -> str:
    """The least and the greatest of its indices: ` of 1 to 10`."""
    if operand is None or operand.low is None:
        return ""
    return f" of {operand.low} to {operand.high}" if operand.low != operand.high else f" of {operand.low}"


def _is_whole(meta: TensorMeta) -> bool:
    return not meta.is_floating_point
