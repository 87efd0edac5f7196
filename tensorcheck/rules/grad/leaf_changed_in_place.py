"""TCK408."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.lineage_wording import made
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, label_for, short

_LEAF = re.compile(r"leaf Variable that requires grad is being used in an in-place operation|leaf variable .*in-place")
_OUT = re.compile(
    r"^(?P<function>\w+)\(\): functions with out=\.\.\. arguments don't support automatic differentiation"
)
_NO_PARAMETER = re.compile(r"cannot assign '(?P<type>\S+)' as parameter '(?P<name>\w+)'")


class LeafChangedInPlace(Rule[Crashed]):
    """A parameter, or a view of one, is changed in place while gradients are recorded.

    ## What it does
    Explains `a leaf Variable that requires grad is being used in an in-place operation` and the same of its views and
    of `out=`: which parameter it is and which line changes it. Also a plain tensor that is put where a parameter was.

    ## Why it matters
    An update by hand, an initialisation or the clipping of weights has to run where no gradients are recorded. The
    message names neither the parameter nor the way to do that.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        for weight in model.parameters():
            weight.clamp_(-0.1, 0.1)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        with torch.no_grad():
            for weight in model.parameters():
                weight.clamp_(-0.1, 0.1)
    ```
    """

    code = "TCK408"
    name = "leaf-changed-in-place"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Name the parameter, and how it may be changed."""
        replaced = _NO_PARAMETER.search(event.message)
        if _LEAF.search(event.message):
            yield self._changed(event, "in place")
        elif _OUT.search(event.message):
            yield self._changed(event, "by `out=`")
        elif replaced is not None:
            yield self._replaced(event, replaced)

    def _changed(self, event: Crashed, how: str) -> Finding:
        leaf = _leaf(event)
        name = short(leaf.spelled) if leaf is not None else "the parameter"
        is_view = event.message.startswith("a view")
        what = f"`{name}` is a view of a parameter" if is_view else f"`{name}` requires a gradient"
        function = event.call.function if event.call is not None else ""
        headline = first_that_fits(
            f"{what} and is changed {how} by `{function}`" if function else "", f"{what} and is changed {how}"
        )
        code = event.site.code if event.site is not None else ""
        return self.finding(
            headline or f"{what} and is changed {how}",
            label=label_for(headline, str(leaf.meta) if leaf is not None else "", "in place"),
            expected="a change where no gradients are recorded",
            got=f"{leaf.meta if leaf is not None else 'a leaf of the graph'}, changed {how} with gradients on",
            site=event.site,
            related=made(leaf, lambda meta: meta.requires_grad, "a leaf of the graph") if leaf is not None else (),
            help=_under_no_grad(event, code),
        )

    def _replaced(self, event: Crashed, told: re.Match[str]) -> Finding:
        owner = event.call.owner if event.call is not None else None
        given = event.call.first if event.call is not None else None
        spelled = given.spelled if given is not None else told["name"]
        target = event.site.code if event.site is not None else told["name"]
        parameters = owner.parameters if owner is not None else ()
        own = next((each.meta for each in parameters if each.name == told["name"]), None)
        return self.finding(
            first_that_fits(f"`{target}` is a Parameter and is given a plain tensor", "a plain tensor for a Parameter"),
            label="a plain tensor",
            expected=f"a Parameter{f', {own.notation}' if own is not None else ''}",
            got=str(given.meta) if given is not None else told["type"],
            site=event.site,
            help=f"{target} = nn.Parameter({spelled})",
        )


def _leaf(event: Crashed) -> Operand | None:
    """What is changed: of several that require a gradient, the last with `out=`, else the first."""
    operands = event.call.operands if event.call is not None else ()
    leaves = [operand for operand in operands if operand.meta.requires_grad]
    ordered = leaves[::-1] if _OUT.search(event.message) else leaves
    return next(iter([*ordered, *operands]), None)


def _under_no_grad(event: Crashed, code: str) -> str:
    """The whole statement in a block of its own, where it fits on one line."""
    source = event.site.source.strip() if event.site is not None else ""
    statement = source if source.startswith(code) and not source.endswith((":", "(", ",")) else code
    return f"with torch.no_grad():\n    {statement}" if statement else ""
