"""TCK401."""

from collections.abc import Iterator, Mapping, Sequence

from tensorcheck.events.backward import GradientsArrived
from tensorcheck.events.forward import ModuleCalled, returned_with_gradient
from tensorcheck.events.gradients import CutKind, GradientCut, GradientsLost
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.gradient_flow import leaves_the_graph
from tensorcheck.knowledge.graph_cuts import Cut, cuts_of
from tensorcheck.knowledge.lost_gradients import backward_at, cut_headline, got, is_adversarial, without_cut
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted, title

_STEPS_TO_BE_SURE = 2


class DetachedForward(Rule[ModuleCalled | GradientsArrived | GradientsLost]):
    """The graph is cut between two layers, or between the model and the loss: what is before the cut never learns.

    ## What it does
    Follows the first steps layer by layer and operation by operation. Where a layer's output required a gradient, a
    later layer or the loss got its numbers without one, and the parameters before it had no gradient when the
    optimizer stepped, the graph was cut between the two: by `.detach()`, `.data`, `.item()`, `.numpy()`,
    `torch.tensor(...)` or the like, inside of the model or between it and the loss.

    ## Why it matters
    Nothing raises: the layers behind the cut learn, so the loss falls, but not as far as it could. The parameters
    before the cut stay as they were initialised.

    ## Example
    ```python
    class Digits(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Linear(64, 32)
            self.head = nn.Linear(32, 10)

        def forward(self, images):
            return self.head(self.features(images).detach())

    model = Digits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 64)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    class Digits(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Linear(64, 32)
            self.head = nn.Linear(32, 10)

        def forward(self, images):
            return self.head(self.features(images))

    model = Digits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 64)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    A graph that is cut on purpose is silent if the optimizer does not hold the parameters before the cut, or if they
    get their gradient on another way; so is one before parameters that something else moves, or whose module is called
    `teacher`, `target`, `ema` or the like. Two traced steps must show the same.
    """

    code = "TCK401"
    name = "detached-forward"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._calls: list[ModuleCalled] = []
        self._missed_before: frozenset[str] = frozenset()
        self._steps = 0
        self._told: set[str] = set()
        """The parameters of which it was said where they lose their gradient."""

    def check(self, event: ModuleCalled | GradientsArrived | GradientsLost) -> Iterator[Finding]:
        """Collect the calls of a step; when its gradients are there, look for the cut."""
        match event:
            case ModuleCalled():
                self._calls.append(event)
            case GradientsArrived():
                yield from self._arrived(event)
            case GradientsLost(cut=GradientCut(kind=CutKind.DETACHED)) if not is_adversarial(event):
                yield from self._lost(event)
            case _:
                pass

    def _lost(self, event: GradientsLost) -> Iterator[Finding]:
        """A cut that shows in no layer's input, as one between the model and the loss."""
        names = [name for name in event.cut.names if name not in self._told]
        self._told |= {*names}
        if names:
            operation = event.cut.operation
            yield self.finding(
                cut_headline(event, "cuts the graph"),
                label=f"`{operation.name}` cuts it here",
                expected="the loss depends on these parameters with a gradient",
                got=got(event),
                site=operation.site,
                module=operation.module,
                related=backward_at(event),
                notes=(f"never learns: {listed_parameters(names, event.kinds)}",),
                help=without_cut(operation.site),
            )

    def _arrived(self, event: GradientsArrived) -> Iterator[Finding]:
        calls, self._calls = self._calls, []
        missed = frozenset(event.missed)
        self._steps = self._steps + 1 if missed and missed == self._missed_before else 1
        self._missed_before = missed
        if missed and event.reached and self._steps >= _STEPS_TO_BE_SURE:
            yield from self._cut(calls, missed)

    def _cut(self, calls: Sequence[ModuleCalled], missed: frozenset[str]) -> Iterator[Finding]:
        for index, call in enumerate(calls):
            source = _source(call, calls[:index]) if call.is_grad_enabled else None
            if source is None or (call.cut is not None and not leaves_the_graph(call.cut)):
                continue
            before = {before.module.path for before in calls[:index] if before.is_grad_enabled}
            lost = [name for name in sorted(missed) if name.rpartition(".")[0] in before]
            if any(name.startswith(f"{source.module.path}.") for name in lost):
                kinds = {each.module.path: each.module.kind for each in calls}
                self._told |= {*lost}
                yield self._finding(call, source, lost, kinds)
                return

    def _finding(
        self, call: ModuleCalled, source: ModuleCalled, lost: Sequence[str], kinds: Mapping[str, str]
    ) -> Finding:
        given = call.ungraded.meta if call.ungraded is not None else call.inputs[0].meta
        cut = _place_of(call)
        return self.finding(
            f"{counted(len(lost), 'parameter')} got no gradient: the graph is cut before {title(call.module)}",
            label=f"`{cut.function}` cuts it here" if cut and cut.function else f"{given.notation}, no grad",
            expected=f"{given.notation} with grad    as `{source.module.path}` returned it",
            got=f"{given.notation} without grad    as `{call.module.path}` got it",
            site=cut.site if cut is not None else call.site,
            module=call.module.path,
            related=_used(call, cut.site if cut is not None else None),
            notes=(f"never learns: {listed_parameters(lost, kinds)}",),
        )


def _place_of(call: ModuleCalled) -> Cut | None:
    """The operation that was seen to cut the graph; else the place that the source shows."""
    if call.cut is not None and call.cut.site is not None:
        return Cut(call.cut.site.code, call.cut.site, function=call.cut.name)
    return next(cuts_of(call.lineage), None)


def _used(call: ModuleCalled, cut: Site | None) -> tuple[Related, ...]:
    if cut is None or call.site is None or call.site.line == cut.line:
        return ()
    return (Related(call.site, f"{title(call.module)} is given it here"),)


def _source(call: ModuleCalled, before: Sequence[ModuleCalled]) -> ModuleCalled | None:
    """The last layer whose output, but for its gradient, is what this one was given.

    Two layers may well be given tensors of one shape, so the place where the gradient was lost must be known.
    """
    if call.ungraded is None or _place_of(call) is None:
        return None
    return returned_with_gradient(before, call.ungraded)
