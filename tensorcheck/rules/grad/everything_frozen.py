"""TCK403."""

from collections.abc import Iterator

from tensorcheck.differentiation import Trainable
from tensorcheck.events.crash import Crashed
from tensorcheck.events.forward import ParametersFrozen
from tensorcheck.events.optimizer import OptimizerSeen
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.missing_gradients import all_frozen, is_without_parameters
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted

_PLACES = 3
_NAMES = 6


class EverythingFrozen(Rule[ParametersFrozen | OptimizerSeen | Crashed]):
    """Every parameter of the model is frozen, and it is trained all the same.

    ## What it does
    Explains `element 0 of tensors does not require grad and does not have a grad_fn` and `optimizer got an empty
    parameter list` where the reason is that no parameter of the model requires a gradient, and finds optimizers that
    hold frozen parameters alone. Where the line that freezes is known, that is the finding's place.

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
                yield self._finding(event.site, Trainable(frozen=event.held, kinds=event.kinds), "the optimizer")
            case Crashed() if all_frozen(event):
                yield self._crashed(event)
            case _:
                pass

    def _crashed(self, event: Crashed) -> Finding:
        models = event.trainable_models
        assert models is not None  # noqa: S101 - the caller has looked
        by = event.call.function if is_without_parameters(event) and event.call is not None else "backward"
        return self._finding(event.site, models, by)

    def _finding(self, used: Site | None, models: Trainable, by: str) -> Finding:
        frozen, freezing = models.frozen, models.freezing
        seen = self._frozen.site if self._frozen is not None and self._frozen.frozen == self._frozen.total else None
        made = seen or (freezing[0] if len(freezing) == 1 else None)
        needs = f"`{by}`" if by != "the optimizer" else by
        places = [] if made else [Related(site, "this sets `requires_grad`") for site in freezing[:_PLACES]]
        related = [Related(used, f"{needs} needs a parameter that requires a gradient")] if made and used else []
        count = counted(len(frozen), "parameter")
        return self.finding(
            f"{len(frozen)} of {count} are frozen: nothing is left to train",
            label=f"freezes {count}" if made else "nothing here requires a gradient",
            expected="at least one parameter with requires_grad=True",
            got=f"{count} with requires_grad=False",
            site=made or used,
            module="",
            notes=(f"frozen: {listed_parameters(frozen[::-1], models.kinds, most=_NAMES)}",) if frozen else (),
            related=(*related, *places),
        )
