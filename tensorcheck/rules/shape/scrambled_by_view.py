"""TCK222."""

import ast
from collections.abc import Iterator

from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.reshapes_by_size import Swap, swapped
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Trace
from tensorcheck.wording import first_that_fits, short


class ScrambledByView(Rule[StepTraced]):
    """A `view` or `reshape` gives two dims each other's size, where they were to be swapped.

    ## What it does
    Finds a `view` or `reshape` whose result has the sizes of its input in another order, such as `[8, 20, 16]` and
    `[8, 16, 20]`, and one that splits or merges attention heads on the wrong side of the time.

    ## Why it matters
    A reshape reads the elements on in the order in which they are and fills the new rows with them. The sizes are as
    they should be, so all that follows works, on numbers of which each row belongs to several places.

    ## Example
    ```python
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(6, 8, 3)

        def forward(self, steps):
            return self.conv(steps.reshape(len(steps), 6, 20)).mean(2)

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(32, 20, 6)).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(6, 8, 3)

        def forward(self, steps):
            return self.conv(steps.transpose(1, 2)).mean(2)

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(32, 20, 6)).square().mean().backward()
        optimizer.step()
    ```

    ## Limits
    The first step is looked at. Dims of one size can't be told apart, and tables of two dims are let pass.
    """

    code = "TCK222"
    name = "scrambled-by-view"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: StepTraced) -> Iterator[Finding]:
        """The reshapes of the first step."""
        for operation in event.trace.operations:
            if operation.name in _RESHAPES and operation.site is not None and _is_written(operation.site):
                yield from self._of(event.trace, operation, operation.site)

    def _of(self, trace: Trace, operation: Operation, site: Site) -> Iterator[Finding]:
        before, after = (trace.values[places[0]].meta for places in (operation.inputs, operation.outputs))
        swap = swapped(before.shape, after.shape)
        if swap is None:
            return
        yield self.finding(
            first_that_fits(
                f"`{short(site.code)}` fills {list(after.shape)} in the order of {list(before.shape)}",
                f"{list(before.shape)} is read on as {list(after.shape)}, not swapped",
                "a tensor is read on in the order of other dims",
            ),
            label=f"{before.notation} becomes {after.notation}",
            expected=f"{after.notation}    with the dims taken in the order {list(swap.order)}",
            got=f"{after.notation}    with the elements in the order in which they were",
            site=site,
            module=operation.module or None,
            help=_help(site, swap),
        )


_RESHAPES = frozenset({"view", "reshape"})


def _is_written(site: Site) -> bool:
    return ".view(" in site.code or "reshape(" in site.code


def _help(site: Site, swap: Swap) -> str:
    """The tensor with its dims swapped, in place of the reshape."""
    try:
        node = ast.parse(site.code, mode="eval").body
    except SyntaxError:
        return ""
    match node:
        case ast.Call(ast.Attribute(owner, "view" | "reshape")):
            code = ast.unparse(owner)
        case _:
            return ""
    if swap.then.startswith("unflatten"):
        return f"{code}.{swap.then}.{_permuted(swap.order)}"
    return ".".join(part for part in (code, _permuted(swap.order), swap.then) if part)


def _permuted(order: tuple[int, ...]) -> str:
    moved = [dim for dim, source in enumerate(order) if dim != source]
    if len(moved) == len("ab") and order[moved[0]] == moved[1]:
        return f"transpose({moved[0]}, {moved[1]})"
    return f"permute({', '.join(map(str, order))})"
