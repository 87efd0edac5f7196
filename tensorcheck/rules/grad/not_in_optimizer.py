"""TCK402."""

from collections.abc import Iterator

from tensorcheck.events.optimizer import CopyTrained, ParametersForgotten
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.lineage import Ancestor, Step
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits


class NotInOptimizer(Rule[ParametersForgotten | CopyTrained]):
    """Parameters receive gradients, but no optimizer holds them, so they never move.

    ## What it does
    When an optimizer steps for the first time or with other parameters than before, after a part of the model was
    unfrozen, and at the steps 4, 8, 16 and so on, looks for parameters of the model that have a gradient and that no
    optimizer of the process holds; at the first step of all, also for those in plain lists and dictionaries of the
    model, and of a loss at hand that has parameters of its own. It speaks two steps later, or at the end of a shorter
    run, of those that nothing has moved since. Also finds optimizers that step on parameters without gradients while a
    copy of the module, or another of the same shapes, has them.

    ## Why it matters
    The gradients are computed and thrown away. The usual causes are an optimizer that was built from one part of the
    model, layers that were added or replaced after it was built, and a model that was copied after it was built.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(16, 4)).square().mean().backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        model(torch.rand(16, 4)).square().mean().backward()
        optimizer.step()
    ```

    To train one part alone, freeze the rest, which saves its gradients too: `model[0].requires_grad_(False)`.

    ## Limits
    Parameters that a loop updates by hand, without an optimizer, are silent if it does so within two steps.
    """

    code = "TCK402"
    name = "not-in-optimizer"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ParametersForgotten | CopyTrained) -> Iterator[Finding]:
        """Report the forgotten parameters, all in one finding."""
        match event:
            case ParametersForgotten():
                yield self._forgotten(event)
            case CopyTrained(is_alike=True, loaded=None):
                yield self._copied(event)
            case CopyTrained():
                pass  # TCK427 has it, or TCK808

    def _forgotten(self, event: ParametersForgotten) -> Finding:
        names = [parameter.name for parameter in event.forgotten]
        held = f"{event.kind} holds {counted(event.held, 'parameter')} of the model"
        return self.finding(
            f"{_get(len(names))} gradients but {'is' if len(names) == 1 else 'are'} in no optimizer",
            label=f"moves {event.held} of {event.held + len(names)} parameters",
            expected="every parameter that gets a gradient is in an optimizer, or frozen",
            got=f"{held}, none holds {listed_parameters(names, event.kinds)}",
            site=event.built or event.site,
            related=tuple(_related(event)),
            notes=tuple(_unregistered(each) for each in event.containers),
            module=_common_path(names),
        )

    def _copied(self, event: CopyTrained) -> Finding:
        return self.finding(
            first_that_fits(
                f"`{event.trained}` gets gradients, but `{event.kind}` holds another module's parameters",
                f"the gradients go to a module whose parameters `{event.kind}` does not hold",
                "the gradients go to a module whose parameters no optimizer holds",
            ),
            label="steps on parameters without gradients",
            expected=f"`{event.kind}` holds what has gradients: {counted(event.gradients, 'parameter')}",
            got=f"it holds others of the same shapes, {event.held} of them, and none has a gradient",
            site=event.site,
            related=tuple(_copy_related(event)),
        )


def _get(count: int) -> str:
    return f"{counted(count, 'parameter')} get{'s' if count == 1 else ''}"


def _unregistered(container: str) -> str:
    return f"`{container}` is a plain list or dictionary: `parameters()` leaves out what it holds"


def _copy_related(event: CopyTrained) -> Iterator[Related]:
    """Where the module that has the gradients was made, and where the optimizer was built."""
    made = [each for each in event.lineage.ancestors if each.step in (Step.ASSIGNED, Step.ATTRIBUTE) and each.site]
    yield from (Related(each.site, f"`{event.trained}` is made here") for each in made[:1] if each.site is not None)
    if event.built is not None:
        yield Related(event.built, f"`{event.kind}` is built here")


def _related(event: ParametersForgotten) -> Iterator[Related]:
    """Where the optimizer was built and its parameters were picked, and where those that it lacks were made."""
    if event.built is not None and event.site is not None:
        yield Related(event.site, "it steps here")
    elif (built := _built(event)) is not None:
        yield Related(built, "the optimizer is built here")
    picks = [each for each in event.lineage.ancestors if each.step is Step.ASSIGNED and " for " in _code(each)]
    yield from (Related(each.site, f"`{each.name}` is picked here") for each in picks[:_PICKS] if each.site is not None)
    yield from (Related(site, "not held: what is built here") for site in event.definitions[:1])


_PICKS = 2


def _built(event: ParametersForgotten) -> Site | None:
    built = (each.site for each in event.lineage.ancestors if each.step in (Step.ASSIGNED, Step.ATTRIBUTE))
    return next(built, None)


def _code(ancestor: Ancestor) -> str:
    return ancestor.site.code if ancestor.site is not None else ""


def _common_path(names: list[str]) -> str:
    """The module that all of them are below."""
    paths = [name.split(".")[:-1] for name in names]
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)
