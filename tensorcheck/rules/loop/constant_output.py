"""TCK519."""

from collections.abc import Iterator

from tensorcheck.events.forward import OutputSampled
from tensorcheck.events.numeric import UnitsDead
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule


class ConstantOutput(Rule[OutputSampled | UnitsDead]):
    """The output of the model does not depend on its input.

    ## What it does
    Compares the rows of the output with each other in the first steps, where all samples of the batch differ: in each
    of three steps they were the same but for rounding.

    ## Why it matters
    The model can learn nothing but one answer for all samples. The input is lost on the way: overwritten, multiplied by
    zero, or behind units that are dead for every sample.

    ## Example
    ```python
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows):
            return self.head(torch.ones_like(rows))

    model = Constant()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, rows):
            return self.head(rows)

    model = Linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            optimizer.zero_grad()
            model(torch.rand(16, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    Only batches of at least four different samples are looked at, and only in the first steps. An output that is zero
    is silent, for a last layer may start at zero on purpose, and so is one in which some part differs from row to row.
    """

    code = "TCK519"
    name = "constant-output"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._steps: set[int] = set()
        self._varies = False

    def check(self, event: OutputSampled | UnitsDead) -> Iterator[Finding]:
        """Wait for as many steps; a single output that varies settles it, and so does a layer that is known as dead."""
        if isinstance(event, UnitsDead):
            self._varies = True
            return
        if event.step not in _STEPS:
            return
        self._varies = self._varies or not event.is_constant
        self._steps.add(event.step)
        if not self._varies and self._steps == _STEPS:
            self._varies = True
            yield self._finding(event)

    def _finding(self, event: OutputSampled) -> Finding:
        shape = list(event.outputs[0].meta.shape) if event.outputs else []
        return self.finding(
            f"the output of the model is the same for all {shape[0] if shape else 0} samples of a batch",
            label="the same for every input",
            expected="an output that depends on the input",
            got=f"{shape} with equal rows    in {len(_STEPS)} steps, but for rounding",
            site=event.site,
            module="",
        )


_STEPS = {0, 1, 2}
"""The steps that are traced first."""
