"""TCK212."""

import math
import re
from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.lineage_wording import made
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import counted, first_that_fits, label_for, short

_IS_ABOUT_ONE_VALUE = re.compile(
    r"^Boolean value of Tensor with|a Tensor with \d+ elements cannot be converted to Scalar|"
    r"only one element tensors can be converted|only integer tensors of a single element"
)
_CONDITIONS = ("", "eq", "ne", "lt", "le", "gt", "ge", "in", "not", "and", "or", "xor", "invert")
_CONVERSIONS = {"item", "float", "int", "complex", "round", "range"}


class AmbiguousTruthValue(Rule[Crashed]):
    """One truth or one number is asked of a tensor that holds none or many.

    ## What it does
    Explains the exception of a condition on a tensor, and of `item`, `float` and `int`, when the tensor does not hold
    exactly one value: which expression it is, and how many values it holds. It also finds tensors that were handed to
    the constructor of a loss.

    ## Why it matters
    A comparison of tensors compares each value with each, so that its result is a tensor again. `nn.CrossEntropyLoss`
    called with the batch builds the loss and takes the targets for a flag: the message then is about truth, not losses.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    with tensorcheck.watch(model) as watch:
        logits = model(torch.zeros(8, 4))
        nn.CrossEntropyLoss(logits, torch.zeros(8, dtype=torch.int64))
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    with tensorcheck.watch(model) as watch:
        logits = model(torch.zeros(8, 4))
        nn.CrossEntropyLoss()(logits, torch.zeros(8, dtype=torch.int64))
    ```
    """

    code = "TCK212"
    name = "ambiguous-truth-value"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look for the tensor that one value is asked of."""
        call = event.call
        if call is None or event.loading is not None or not _IS_ABOUT_ONE_VALUE.search(event.message):
            return
        guilty = next((operand for operand in call.operands if _count(operand.meta) != 1), None)
        if "__init__" in event.functions and call.function.endswith("Loss"):
            yield self._built(event, call)
        elif guilty is not None:
            yield self._found(event, call, guilty)
        elif call.unread:
            site, held = call.unread[0], "no value" if "with no values" in event.message else "more than one value"
            yield self.finding(f"`{short(site.code)}` holds {held} but one is asked for", site=site)

    def _built(self, event: Crashed, call: FailedCall) -> Finding:
        code = event.site.code if event.site is not None else ""
        operands = " and ".join(operand.meta.notation for operand in call.operands)
        headline = f"`{call.function}` is built with {counted(len(call.operands), 'tensor')}, not called with them"
        return self.finding(
            headline,
            label=label_for(headline, operands),
            expected="settings",
            got=operands,
            site=event.site,
            help=code.replace(f"{call.function}(", f"{call.function}()(", 1) if f"{call.function}(" in code else "",
        )

    def _found(self, event: Crashed, call: FailedCall, guilty: Operand) -> Finding:
        meta = guilty.meta
        whole = event.site.code if event.site is not None else guilty.spelled
        is_computed = call.function in _CONDITIONS[1:] and not whole.startswith(("if ", "while ", "assert "))
        name = short(whole if is_computed else guilty.spelled)
        asked = "one number" if call.function in _CONVERSIONS else "one truth value"
        several = {operand.meta.shape for operand in call.operands if _count(operand.meta) != 1}
        held = _held(meta) if len(several) == 1 else "more than one value"
        headline = first_that_fits(*(f"`{name}` holds {held} but {one} is asked for" for one in (asked, "one")))

        def is_guilty(other: TensorMeta) -> bool:
            return other.shape == meta.shape

        return self.finding(
            headline,
            label=label_for(headline, str(meta), meta.notation),
            expected=f"{meta.dtype}[]",
            got=meta.notation,
            site=event.site if is_computed or guilty.site is None else guilty.site,
            related=made(guilty, is_guilty, str(list(meta.shape))),
            notes=tuple(_notes(call, guilty)),
            fixes=tuple(_fixes(call, guilty)),
        )


def _count(meta: TensorMeta) -> int:
    return math.prod(meta.shape)


def _held(meta: TensorMeta) -> str:
    count = _count(meta)
    return counted(count, "value") if count > 0 else "many values" if count else "no value"


def _fixes(call: FailedCall, guilty: Operand) -> Iterator[Fix]:
    """One number made of many; whether a condition means any or all of them is not known."""
    if guilty.site is None or call.function in _CONDITIONS[1:]:
        return
    name, tail = enclosed(guilty.spelled), ".item()" if call.function == "item" else ""
    if call.function == "" and not _count(guilty.meta):
        yield Fix(f"{name}.numel()", (ChangeOperand(guilty.name, "numel"),))
    elif call.function in _CONVERSIONS and guilty.meta.is_floating_point and _count(guilty.meta) > 1:
        yield Fix(f"{name}.mean(){tail}", (ChangeOperand(guilty.name, "mean"),))


def _notes(call: FailedCall, guilty: Operand) -> Iterator[str]:
    if call.function in _CONDITIONS and _count(guilty.meta):
        yield "likely: `any()` or `all()` of it is meant, or `torch.where` for each value"
