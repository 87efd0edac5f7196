"""TCK102."""

import re
from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.knowledge.dtypes import castings, dtype_places, named_in
from tensorcheck.knowledge.loss_dtypes import WrongDtype, wrong_dtype_of
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import first_that_fits, how_it_got_here, label_for, short

_IS_ABOUT_DTYPE = re.compile(
    r"dtype|scalar type|not implemented for '|result type|bool tensor|Integral inputs|must be integral|"
    r"Expected floating point type|floating.point (dtype|type)"
)
_IN_BACKWARD = re.compile(r"Found dtype (\w+) but expected (\w+)")
_WORDS = {
    "class indices": "class indices as int64",
    "lengths": "integers",
    "floats": "predictions that are floats",
}


class LossTargetDtype(Rule[Crashed]):
    """A loss is given a target, or an input beside it, of a dtype that it does not take.

    ## What it does
    Explains the exception that a loss raises, or that its `backward` does, when an operand has the wrong dtype: class
    indices that are not int64, numbers to compare with that are not floats, predicted classes in place of scores, class
    weights in float64, lengths that are floats.

    ## Why it matters
    The messages (`expected target dtype to be Long or Byte, but got Int`, `Found dtype Long but expected Float`) leave
    open which tensor is meant and which of the two should change. A loss over classes counts with integers, a loss over
    numbers or probabilities compares floats with floats.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    labels = torch.zeros(8).type(torch.int32)
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(8, 4)), labels)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    labels = torch.zeros(8).type(torch.int64)
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(8, 4)), labels)
    ```
    """

    code = "TCK102"
    name = "loss-target-dtype"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the failed loss's operands with what it takes."""
        call = event.call
        if call is not None and call.kind == "loss" and _IS_ABOUT_DTYPE.search(event.message):
            wrong = wrong_dtype_of(call)
            if wrong is not None:
                yield self._found(event, call, wrong)
        elif event.loss is not None and _IN_BACKWARD.search(event.message):
            yield self._in_backward(event, event.loss)

    def _found(self, event: Crashed, call: FailedCall, wrong: WrongDtype) -> Finding:
        meta, beside = wrong.operand.meta, wrong.predictions.meta
        fixes = tuple(_fixes(call, wrong))
        headline = first_that_fits(*_headlines(call, wrong))
        expected = TensorMeta(meta.shape, wrong.dtype, "").notation

        both = "" if wrong.is_predictions else f"{meta.notation} beside {beside.notation}"
        return self.finding(
            headline,
            label=label_for(headline, *([both] if both else []), str(meta), meta.notation),
            expected=expected
            if wrong.is_predictions
            else f"{expected}    for {wrong.predictions.name} {beside.notation}",
            got=f"{meta.notation}    {wrong.operand.name}",
            site=wrong.operand.site or event.site,
            related=dtype_places(wrong.operand),
            notes=tuple(_notes(call, wrong)),
            path=how_it_got_here(event.calls),
            help=next((fix.help for fix in fixes), ""),
            fixes=fixes,
        )

    def _in_backward(self, event: Crashed, loss: Operand) -> Finding:
        """A loss that takes two dtypes, and that can't bring its gradient back to the dtype of its predictions."""
        came, wanted = named_in(event.message)[:2]
        target = _of_dtype(loss, came)
        function = _function(loss)
        unnamed = f"`{function}` got {came} targets for {wanted} predictions"
        named = f"`{function}` got {came} `{short(target.spelled)}` for {wanted} predictions" if target else unnamed
        headline = first_that_fits(named, unnamed)

        return self.finding(
            headline,
            label=label_for(headline, str(target.meta) if target else "", came),
            expected=TensorMeta(target.meta.shape, wanted, "").notation if target else wanted,
            got=target.meta.notation if target else came,
            site=target.site if target and target.site else event.site,
            related=(
                *(dtype_places(target) if target else ()),
                *([Related(event.site, "`backward` fails here")] if target and event.site else []),
            ),
            notes=("the loss itself takes both dtypes; only its `backward` does not",),
            help=next((fix.help for fix in castings(target, wanted)), "") if target else "",
        )


def _headlines(call: FailedCall, wrong: WrongDtype) -> Iterator[str]:
    """From the fullest to the shortest."""
    operand, beside = wrong.operand, wrong.predictions.meta.dtype
    start, role = f"`{call.function}` got {operand.meta.dtype}", _role(wrong)
    rest = f"but takes {_WORDS[wrong.want]}" if wrong.want in _WORDS else f"for {beside} predictions"
    if operand.site is not None and operand.name in ("input", "target"):
        yield f"{start} `{short(operand.spelled)}` {rest}"
    yield f"{start} {role} {rest}"
    yield f"{start} {role}"


def _role(wrong: WrongDtype) -> str:
    known = {"target": "targets", "input": "predictions"}
    return known.get(wrong.operand.name, f"`{wrong.operand.name}`")


def _notes(call: FailedCall, wrong: WrongDtype) -> Iterator[str]:
    if wrong.is_predictions:
        yield "integers carry no gradient; predicted classes, as of `argmax`, are no scores"
    elif call.function == "multilabel_margin_loss" and wrong.operand.name == "target":
        yield "this loss takes the numbers of the classes and then -1, not a mask of zeros and ones"


def _fixes(call: FailedCall, wrong: WrongDtype) -> Iterator[Fix]:
    """Casts; what a cast would only hide is left out."""
    operand = wrong.operand
    if (wrong.is_predictions and wrong.want == "floats" and call.function in _OF_SCORES) or call.function in _OF_LISTS:
        return
    yield from castings(operand, wrong.dtype)
    is_one_hot = (call.function, operand.name, wrong.want) == ("cross_entropy", "target", "like the predictions")
    if is_one_hot and operand.site is not None:
        yield Fix(f"{enclosed(operand.spelled)}.argmax(1)", (ChangeOperand(operand.name, "argmax", (1,)),))


_OF_SCORES = ("cross_entropy", "nll_loss", "multi_margin_loss", "kl_div", "binary_cross_entropy")
"""Losses whose predictions are scores or probabilities, which integers never are."""
_OF_LISTS = ("multilabel_margin_loss",)


def _function(loss: Operand) -> str:
    """The function of `torch.nn.functional` by its node in the graph, `HuberLossBackward0`, or by its call."""
    name = re.sub(r"Backward\d*$", "", loss.grad_fn)
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if snake.endswith(("_loss", "_entropy")):
        return snake
    called = (each.function for each in loss.lineage.ancestors)
    return next((each for each in called if each.endswith(("_loss", "_entropy"))), "backward")


def _of_dtype(loss: Operand, dtype: str) -> Operand | None:
    """What the loss was computed of and that has this dtype, the nearest; None where it is not known."""
    for place, ancestor in enumerate(loss.lineage.ancestors):
        is_loss = ancestor.name == loss.spelled or place == 0
        if not is_loss and ancestor.meta is not None and ancestor.meta.dtype == dtype:
            lineage = loss.lineage.from_ancestor(place)
            return Operand(ancestor.name, ancestor.meta, ancestor.site, lineage)
    return None
