"""TCK409."""

import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.lineage import Lineage, Step
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once, first_that_fits, label_for, short

_REFUSED = re.compile(r"numpy\(\) on Tensor that requires grad|Can't export tensors that require grad")
_OF_ARRAYS = "operation is not implemented for NumPy arrays"
_ELEMENT = re.compile(r"^(?P<list>.+)\[[^\[\]]+\]$")


class NumpyOfATensorWithGrad(Rule[Crashed]):
    """NumPy, or a library that works with its arrays, is given a tensor that is part of a graph.

    ## What it does
    Explains `Can't call numpy() on Tensor that requires grad`: which tensor it is, which call asked for an array, and
    where the tensor was kept, for a list of losses is often filled far from the line that raises.

    ## Why it matters
    The message does not name the tensor, and most often it is no call of `.numpy()` that raises: `np.mean(losses)`,
    `plt.plot(losses)` and scikit-learn's metrics ask for it. A list of losses that keep their graphs also keeps all
    that their graphs hold in memory.

    ## Example
    ```python
    import numpy

    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        losses = []
        for _ in range(3):
            losses.append(model(torch.rand(16, 4)).square().mean())
        numpy.mean(losses)
    ```

    ## Use instead
    ```python
    import numpy

    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        losses = []
        for _ in range(3):
            losses.append(model(torch.rand(16, 4)).square().mean().item())
        numpy.mean(losses)
    ```
    """

    code = "TCK409"
    name = "numpy-of-a-tensor-with-grad"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Name the tensor and who asked for an array."""
        call = event.call
        tensors = [each for each in call.operands if each.meta.requires_grad] if call is not None else []
        is_refused = _REFUSED.search(event.message) is not None
        if is_refused or (_OF_ARRAYS in event.message and tensors):
            yield self._finding(event, call, tensors)

    def _finding(self, event: Crashed, call: FailedCall | None, tensors: Sequence[Operand]) -> Finding:
        given = tensors[0] if tensors else None
        kept = _list_of(given)
        unread = _unread(call) if given is None else None
        spelled = kept or (given.spelled if given is not None else unread.code if unread is not None else "")
        name = f"`{short(spelled)}`" if spelled else "a tensor"
        requires = "holds tensors that require a gradient" if kept else "requires a gradient"
        headline = first_that_fits(f"{name} {requires}, which a NumPy array can't have", f"{name} {requires}")
        return self.finding(
            headline,
            label=label_for(headline, str(given.meta) if given is not None else "", "with a graph"),
            expected="tensors without a graph, or plain numbers" if kept else "a tensor without a graph",
            got=str(given.meta) if given is not None else "a tensor that requires a gradient",
            site=given.site if given is not None and given.site is not None else unread or event.site,
            related=_where(given, event),
            help=_help(given, kept, event) if unread is None else _detached(unread.code, event),
            fixes=tuple(_fixes(given, kept, event)),
        )


def _list_of(given: Operand | None) -> str:
    """The list that the tensor is an element of: `losses` of `losses[0]`."""
    element = _ELEMENT.match(given.name) if given is not None else None
    return element["list"] if element is not None and given is not None and given.spelled == element["list"] else ""


def _where(given: Operand | None, event: Crashed) -> tuple[Related, ...]:
    """Where the tensor was kept and made."""
    lineage = given.lineage if given is not None else Lineage()
    named = [each for each in lineage.ancestors if each.step not in (Step.SPELLED, Step.LAYER, Step.SIZED)]
    kept = [Related(each.site, f"`{short(each.name)}` takes it in here") for each in named if _keeps(each.site)]
    made = [Related(each.site, f"`{short(each.name)}` is made here") for each in named if _makes(each.site)]
    return each_line_once([*kept[:1], *made[:1]], given.site if given is not None else event.site)


def _keeps(site: Site | None) -> TypeGuard[Site]:
    return site is not None and ".append(" in site.source


def _makes(site: Site | None) -> TypeGuard[Site]:
    return site is not None and not _keeps(site) and site.code != "[]"


def _help(given: Operand | None, kept: str, event: Crashed) -> str:
    """Without its graph: where a list takes it in, else where it is used."""
    if given is None:
        return ""
    appended = [each.site for each in given.lineage.ancestors if _keeps(each.site)]
    site = next((site for site in appended if site is not None), None)
    if kept and site is not None:
        return site.source.strip().replace(f"append({site.code})", f"append({site.code}.item())")
    if kept:
        return f"[each.item() for each in {kept}]"
    if _OF_ARRAYS in event.message and not given.meta.shape:
        return f"{given.spelled}.item()"
    return _detached(given.spelled, event)


def _detached(code: str, event: Crashed) -> str:
    is_asked = event.call is not None and event.call.function == "numpy"
    return f"{enclosed(code)}.detach(){'.numpy()' if is_asked else ''}"


def _unread(call: FailedCall | None) -> Site | None:
    """What `numpy()` is asked of, where that is gone: `x.cpu()` of `x.cpu().numpy()`."""
    return call.unread[0] if call is not None and call.function == "numpy" and len(call.unread) == 1 else None


def _fixes(given: Operand | None, kept: str, event: Crashed) -> Iterator[Fix]:
    """The help as an edit, of one tensor: what a list holds was put there before the call."""
    if given is not None and not kept:
        yield Fix(_help(given, kept, event), (ChangeOperand(given.name, "detach"),))
