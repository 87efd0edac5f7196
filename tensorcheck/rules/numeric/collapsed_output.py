"""TCK610."""

from collections.abc import Iterator

from tensorcheck.events.forward import OutputSampled
from tensorcheck.events.numeric import UnitsDead
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule


class CollapsedOutput(Rule[OutputSampled | UnitsDead]):
    """The output of the model depended on its input, and in the course of training has ceased to.

    ## What it does
    Compares the rows of the output with each other at a few steps, ever farther apart, on the CPU: where all samples of
    the batch differ they differed in the first steps, and at two looks in a row they are the same but for rounding.

    ## Why it matters
    The loss is low and steady: the model gives the mean of the targets to everyone. As a rule a layer has died, when a
    learning rate that is too large threw its weights so far that no ReLU opens for any sample. No gradient brings it
    back.

    ## Example
    ```python
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with tensorcheck.watch(model) as watch:
        for step in range(40):
            rows = torch.rand(16, 4)
            optimizer.zero_grad()
            nn.functional.mse_loss(model(rows), rows.sum(1, keepdim=True)).backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with tensorcheck.watch(model) as watch:
        for step in range(40):
            rows = torch.rand(16, 4)
            optimizer.zero_grad()
            nn.functional.mse_loss(model(rows), rows.sum(1, keepdim=True)).backward()
            optimizer.step()
    ```

    ## Limits
    An output that is constant from the first step on is told of by constant-output, and one whose layers died then by
    dead-relu. Answers of 0 and 1 alone are silent: a model may be sure. On an accelerator nothing is looked at.
    """

    code = "TCK610"
    name = "collapsed-output"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._varied_at: int | None = None
        """The last step at which it was seen to vary."""
        self._constant_at: set[int] = set()
        """The steps since at which it was constant."""
        self._is_over = False

    def check(self, event: OutputSampled | UnitsDead) -> Iterator[Finding]:
        """Wait for a second look that shows the same."""
        if isinstance(event, UnitsDead):
            self._is_over = True
        elif not event.is_constant:
            self._varied_at = event.step
            self._constant_at.clear()
        elif self._varied_at is not None and not self._is_over and event.step != self._varied_at:
            self._constant_at.add(event.step)
            if len(self._constant_at) == _LOOKS:
                self._is_over = True
                yield self._finding(event, self._varied_at)

    def _finding(self, event: OutputSampled, varied_at: int) -> Finding:
        shape = list(event.outputs[0].meta.shape) if event.outputs else []
        return self.finding(
            f"the output has become the same for all {shape[0] if shape else 0} samples of a batch",
            label="the same for every input by now",
            expected="an output that depends on the input, as it did before",
            got=f"{shape} with equal rows    in steps {_listed(self._constant_at)}; they differed in step {varied_at}",
            site=event.site,
            module="",
            notes=("likely a layer has died: no unit of it opens for any sample",),
            help="a learning rate that is ten times smaller, or gradients clipped",
        )


_LOOKS = 2


def _listed(steps: set[int]) -> str:
    return " and ".join(str(step) for step in sorted(steps))
