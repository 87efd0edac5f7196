"""TCK403."""

from collections.abc import Iterator

from tensorcheck.events import Crashed, OptimizerSeen, ParametersFrozen
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted


class EverythingFrozen(Rule[ParametersFrozen | OptimizerSeen | Crashed]):
    """Every parameter of the model is frozen, and it is trained all the same.

    ## What it does
    Explains `element 0 of tensors does not require grad and does not have a grad_fn` where the reason is that no
    parameter of the model requires a gradient, and finds optimizers that hold frozen parameters alone. Where the
    freezing itself was seen, that line is the finding's place.

    ## Why it matters
    Freezing a backbone and then adding or unfreezing a head is the usual order; a filter that matches too much, or a
    head that was added first, freezes everything.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with tensorcheck.watch(model) as watch:
        model.requires_grad_(False)
        model(torch.rand(16, 4)).square().mean().backward()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with tensorcheck.watch(model) as watch:
        model[0].requires_grad_(False)
        model(torch.rand(16, 4)).square().mean().backward()
    ```
    """

    code = "TCK403"
    name = "everything-frozen"
    severity = Severity.ERROR
    since = "0.1.0"

    def __init__(self) -> None:
        self._frozen: ParametersFrozen | None = None

    def check(self, event: ParametersFrozen | OptimizerSeen | Crashed) -> Iterator[Finding]:
        """Remember the last freezing; speak when the model is trained."""
        match event:
            case ParametersFrozen():
                self._frozen = event
            case OptimizerSeen() if event.held and len(event.held_frozen) == len(event.held):
                yield self._finding(event, len(event.held), len(event.held))
            case Crashed(trainable=0) if event.parameters and "does not require grad" in event.message:
                yield self._finding(event, event.parameters, event.parameters)
            case _:
                pass

    def _finding(self, event: OptimizerSeen | Crashed, frozen: int, total: int) -> Finding:
        made = self._frozen.site if self._frozen is not None and self._frozen.frozen == self._frozen.total else None
        used = "backward" if isinstance(event, Crashed) else "the optimizer"
        related = (Related(event.site, f"{used} needs a parameter that requires a gradient"),) if event.site else ()
        return self.finding(
            f"{frozen} of {counted(total, 'parameter')} are frozen: nothing is left to train",
            label=f"freezes {counted(frozen, 'parameter')}" if made else "nothing here requires a gradient",
            expected="at least one parameter with requires_grad=True",
            got=f"{counted(frozen, 'parameter')} with requires_grad=False",
            site=made or event.site,
            module="",
            related=related if made else (),
        )
