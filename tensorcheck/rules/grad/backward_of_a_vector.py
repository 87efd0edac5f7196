"""TCK412."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.lineage import Step
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import each_line_once, first_that_fits, label_for, short

_VECTOR = "grad can be implicitly created only for scalar outputs"
_MISMATCH = re.compile(
    r"grad_output\[\d+\] has a shape of torch\.Size\((?P<gradient>\[[\d, ]*\])\) and output\[\d+\] has a shape of "
    r"torch\.Size\((?P<output>\[[\d, ]*\])\)"
)
_FUNCTIONAL = re.compile(r"Expected f\(\*args\) to return a (?:scalar )?Tensor, got (?P<what>.+?)(?:\.|$)")
_REDUCTION = re.compile(r"reduction\s*=\s*['\"]none['\"]")
_PLACES = 3


class BackwardOfAVector(Rule[Crashed]):
    """`backward` is called on a loss that is not one number.

    ## What it does
    Explains `grad can be implicitly created only for scalar outputs`: which shape the loss has, and where it was to be
    reduced. The same of a gradient argument of another shape than what it is for, and of `torch.func.grad` of a
    function that does not return one number.

    ## Why it matters
    A loss with `reduction="none"`, or one that was written by hand, has a value for each sample. It has to be reduced,
    mostly by its mean; the message does not say which tensor it is nor what its shape is.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        loss = model(torch.rand(16, 4)).square()
        loss.backward()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        loss = model(torch.rand(16, 4)).square().mean()
        loss.backward()
    ```
    """

    code = "TCK412"
    name = "backward-of-a-vector"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Say which shape came."""
        if _VECTOR in event.message:
            yield self._vector(event)
        elif (mismatch := _MISMATCH.search(event.message)) is not None:
            yield self._mismatch(event, mismatch["gradient"], mismatch["output"])
        elif (functional := _FUNCTIONAL.search(event.message)) is not None and "grad" in event.message:
            yield self._functional(event, functional["what"])

    def _vector(self, event: Crashed) -> Finding:
        loss = event.loss or _first_with_grad(event)
        name = short(loss.spelled) if loss is not None else "the loss"
        shape = f"{_sizes(loss.meta)} is" if loss is not None else "is"
        headline = f"`{name}` {shape} not one number, and backward needs one"
        if loss is not None:
            count = _values(loss.meta)
            headline = first_that_fits(
                f"`{name}` is {_sizes(loss.meta)}, {count} values, but backward needs a single one",
                f"`{name}` is {_sizes(loss.meta)}, but backward needs a single value",
            )
        spelled = loss.spelled if loss is not None else "loss"
        return self.finding(
            headline,
            label=label_for(headline, str(loss.meta) if loss is not None else "", "no single number"),
            expected=f"{loss.meta.dtype if loss is not None else 'float32'}[]",
            got=loss.meta.notation if loss is not None else "more than one number",
            site=(loss.site if loss is not None else None) or event.site,
            related=_where(loss),
            help=f"{spelled}.mean().backward()" if event.loss is not None else "",
            fixes=_reductions(loss) if loss is not None else (),
        )

    def _mismatch(self, event: Crashed, gradient: str, output: str) -> Finding:
        operands = event.call.operands if event.call is not None else ()
        name = short(operands[0].spelled) if operands else "the output"
        given = next((each for each in operands[1:] if _sizes(each.meta) == gradient), None)
        return self.finding(
            first_that_fits(
                f"`{name}` is {output} and is given a gradient of {gradient}", f"a gradient of {gradient} for {output}"
            ),
            label=f"a gradient of {gradient}",
            expected=f"a gradient of {output}",
            got=gradient,
            site=(given.site if given is not None else None) or event.site,
        )

    def _functional(self, event: Crashed, what: str) -> Finding:
        kind = re.search(r"<class '(?P<kind>\w+)'>", what)
        shown = f"a {kind['kind']}" if kind is not None else what.replace("tensor with", "a tensor with")
        return self.finding(
            first_that_fits(f"`grad` is taken of a function that returns {shown}, not one number", shown),
            label=f"returns {shown}",
            expected="a function that returns one number, a tensor of 0 dims",
            got=shown,
            site=event.site,
        )


def _first_with_grad(event: Crashed) -> Operand | None:
    operands = event.call.operands if event.call is not None else ()
    return next((each for each in operands if each.meta.requires_grad), None)


def _sizes(meta: TensorMeta) -> str:
    return f"[{', '.join(map(str, meta.shape))}]"


def _values(meta: TensorMeta) -> int:
    count = 1
    for size in meta.shape:
        count *= size
    return count


def _where(loss: Operand | None) -> tuple[Related, ...]:
    """Where it was made, what a function of the user's returned, and where a reduction was switched off."""
    ancestors = loss.lineage.ancestors if loss is not None else ()
    chain = [each for each in ancestors[: _PLACES + 1] if each.step is not Step.SPELLED and each.site is not None]
    places = [
        Related(each.site, f"`{short(each.name)}` is {'returned' if each.step is Step.RETURNED else 'made'} here")
        for each in chain
        if each.site is not None
    ]
    off = [each.site for each in ancestors if each.site is not None and _REDUCTION.search(each.site.code)]
    places += [Related(site, "nothing reduces it to one number here") for site in off[:1]]
    return each_line_once(places, loss.site if loss is not None else None)


def _reductions(loss: Operand) -> tuple[Fix, ...]:
    return tuple(
        Fix(f"{loss.spelled}.{method}().backward()", (ChangeOperand(loss.name, method),)) for method in ("mean", "sum")
    )
