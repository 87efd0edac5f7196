"""TCK105."""

from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.calls import FailedCall
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.fixes import Fix
from tensorcheck.knowledge.dtypes import dtype_places
from tensorcheck.knowledge.unfit_values import UnfitValue, unfit_value_of
from tensorcheck.knowledge.unsupported import Refusal, refusal_of
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import expectation, first_that_fits, how_it_got_here, label_for, short, subject, within


class UnsupportedDtype(Rule[Crashed]):
    """An operation is given a dtype that it does not have.

    ## What it does
    Explains the exception of a function or a layer that takes no tensor of the one dtype it was given: `mean` of
    integers, `-` of a mask, noise like bytes, a softmax of votes, `numpy()` of bfloat16, a minus infinity for integers.
    It also finds plain values that are of no use there: a size that is a float, a list of numbers with None in it.

    ## Why it matters
    `"normal_kernel_cpu" not implemented for 'Byte'` says neither which call of the user's it is nor which tensor, and
    the tensor's dtype was mostly settled long before: by a dataset, a comparison, or `torch.tensor` of integers.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    counts = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    with tensorcheck.watch(model) as watch:
        model(counts - counts.mean(0))
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    counts = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    with tensorcheck.watch(model) as watch:
        model(counts - counts.mean(0))
    ```

    ## Limits
    An exception outside of the model, the loss and `backward` is seen by `tensorcheck.explain` and by the `watch` block
    that it leaves.
    """

    code = "TCK105"
    name = "unsupported-dtype"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look for the operand or the value that the failed call does not take."""
        call = event.call
        if call is None or event.loading is not None:
            return
        refusal, value = refusal_of(call, event.message), unfit_value_of(call, event.message)
        if refusal is not None:
            yield self._refused(event, call, refusal)
        elif value is not None:
            yield self._unfit(event, value)

    def _refused(self, event: Crashed, call: FailedCall, refusal: Refusal) -> Finding:
        operand, meta = refusal.operand, refusal.operand.meta
        headline = first_that_fits(*_headlines(event, call, refusal))
        wanted = refusal.wanted if refusal.is_gone else TensorMeta(meta.shape, refusal.wanted, "").notation
        fixes = tuple(_fixes(event, call, refusal))
        came = meta.dtype if refusal.is_gone else meta.notation

        return self.finding(
            headline,
            label=label_for(headline, *([] if refusal.is_gone else [str(meta)]), came),
            expected=expectation(wanted, call.module) if call.module is not None else wanted,
            got=f"{came}{within(event.modules) if call.module is None else ''}",
            site=operand.site or event.site,
            module=event.modules[-1].path if event.modules else None,
            related=dtype_places(operand),
            notes=tuple(_notes(refusal)),
            path=how_it_got_here(event.calls),
            help=_sure_help(event, call) or next((fix.help for fix in fixes), ""),
            fixes=fixes,
        )

    def _unfit(self, event: Crashed, value: UnfitValue) -> Finding:
        return self.finding(
            value.headline,
            label=value.label,
            expected=value.expected,
            got=value.got,
            site=value.site or event.site,
            module=event.modules[-1].path if event.modules else None,
            related=value.related,
            fixes=value.fixes,
        )


def _headlines(event: Crashed, call: FailedCall, refusal: Refusal) -> Iterator[str]:
    """From the fullest to the shortest."""
    operand = refusal.operand
    first, dtype, name = subject(call, event.site), operand.meta.dtype, f"`{short(operand.spelled)}`"
    if refusal.is_overflow:
        number = f"{refusal.number.value}" if refusal.number is not None else "a number"
        yield f"{first} got {number}, which {dtype} {name} can't hold"
        yield f"{first} got a number that {dtype} can't hold"
    elif refusal.into is not None:
        is_wider = refusal.into.shape == () and not dtype.startswith("complex")
        yield (
            f"{first} gives {refusal.into.dtype}, which {dtype} {name} can't hold"
            if is_wider
            else (f"{first} got {dtype} {name} for {refusal.into.dtype}, which can't hold it")
        )
        yield f"{first} got {dtype} beside {refusal.into.dtype}"
    else:
        if operand.site is not None and call.kind != "layer":
            yield f"{first} got {dtype} {name} but takes {refusal.takes}"
        yield f"{first} got {dtype} but takes {refusal.takes}"


def _fixes(event: Crashed, call: FailedCall, refusal: Refusal) -> Iterator[Fix]:
    """Casts; of an operator that writes to its operand, the assignment of what it computes to that name."""
    code = event.site.code if event.site is not None else ""
    is_written_to = refusal.into is not None and call.kind == "operation" and refusal.operand is call.first
    sign, name = subject(call, event.site).strip("`"), refusal.operand.spelled
    for fix in refusal.fixes():
        if not is_written_to or code.startswith(f"{name}."):
            yield from () if is_written_to and call.function.endswith("_") else (fix,)
        elif code.startswith(f"{name} {sign}= "):
            yield replace(fix, help=f"{name} = {fix.help} {sign} {code.removeprefix(f'{name} {sign}= ')}")


def _notes(refusal: Refusal) -> Iterator[str]:
    if refusal.is_overflow and refusal.operand.meta.dtype == "float16":
        yield "the greatest number in float16 is 65504"


def _sure_help(event: Crashed, call: FailedCall) -> str:
    """A mask turned around, where that is written as a subtraction."""
    masks = [operand for operand in call.operands if operand.meta.dtype == "bool"]
    is_turned = call.function == "neg" or (call.function == "sub" and call.setting("0") is not None)
    return f"~{masks[0].spelled}" if is_turned and len(masks) == 1 and "bool tensor" in event.message else ""
