"""TCK415."""

from collections.abc import Iterator

from tensorcheck.events.gradients import CutKind, GradientCut, GradientsBlocked, GradientsLost
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.lost_gradients import backward_at, cut_headline, got, is_adversarial
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.wording import counted, first_that_fits

_INSTEAD = {
    "argmax": "softmax",
    "round": "x + (x.round() - x).detach()",
    "bernoulli": "torch.distributions.RelaxedBernoulli",
    "multinomial": "nn.functional.gumbel_softmax",
}


class NoGradientThrough(Rule[GradientsLost | GradientsBlocked]):
    """The only way from some parameters to the loss leads through an operation that has no gradient.

    ## What it does
    Follows the first steps operation by operation. Where parameters that an optimizer holds get no gradient, and their
    numbers went into the loss through `argmax`, a comparison, a cast to integers or a sample, or through `round`,
    `floor`, `ceil` or `sign`, whose gradient is zero everywhere, it names the operation and the parameters.

    ## Why it matters
    As long as another part of the loss has a gradient nothing raises: the loss falls, and the parameters before the
    operation stay as they were initialised.

    ## Example
    ```python
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(4, 8)
            self.body = nn.Linear(4, 8)

        def forward(self, rows):
            is_open = self.gate(rows) > 0
            return self.body(rows) * is_open

    model = Gated()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(4, 8)
            self.body = nn.Linear(4, 8)

        def forward(self, rows):
            opening = self.gate(rows).sigmoid()
            return self.body(rows) * opening

    model = Gated()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    Straight-through estimators, and metrics that are computed beside the loss, are silent: the parameters get their
    gradient on another way. So are parameters that something else moves.
    """

    code = "TCK415"
    name = "no-gradient-through"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: GradientsLost | GradientsBlocked) -> Iterator[Finding]:
        """Report each operation once."""
        match event:
            case GradientsLost(cut=GradientCut(kind=CutKind.NOT_DIFFERENTIABLE)) if not is_adversarial(event):
                yield self._lost(event)
            case GradientsBlocked(custom=None):
                yield self._blocked(event)
            case _:
                pass

    def _lost(self, event: GradientsLost) -> Finding:
        operation = event.cut.operation
        return self.finding(
            cut_headline(event, "has none"),
            label=f"`{operation.name}` has no gradient",
            expected="a gradient on the way from the loss to these parameters",
            got=got(event),
            site=operation.site,
            module=operation.module,
            related=backward_at(event),
            notes=(f"never learns: {listed_parameters(event.cut.names, event.kinds)}", *_instead(operation.name)),
        )

    def _blocked(self, event: GradientsBlocked) -> Finding:
        made, count = event.operation, counted(len(event.names), "parameter")
        function = made.name if made is not None else event.node.rstrip("0123456789").removesuffix("Backward").lower()
        site = made.site if made is not None else event.backward
        return self.finding(
            first_that_fits(
                f"{count} got no gradient but zero: `{site.code if site is not None else function}`",
                f"{count} got no gradient but zero: `{function}` has no other",
            ),
            label=f"the gradient of `{function}` is zero everywhere",
            expected="a gradient on the way from the loss to these parameters",
            got=f"zeros, from `{event.node}`",
            site=site,
            module=made.module if made is not None else None,
            related=_backward(event, site),
            notes=(f"never learns: {listed_parameters(event.names, event.kinds)}", *_instead(function)),
        )


def _backward(event: GradientsBlocked, shown: Site | None) -> tuple[Related, ...]:
    if event.backward is None or shown is None or shown.line == event.backward.line:
        return ()
    return (Related(event.backward, "`backward` passes zeros on from here"),)


def _instead(function: str) -> tuple[str, ...]:
    known = _INSTEAD.get(function)
    return (f"with a gradient, in place of `{function}`: `{known}`",) if known is not None else ()
