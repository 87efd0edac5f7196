"""TCK431."""

import re
from collections.abc import Iterator

from tensorcheck.events.forward import ForwardFinished
from tensorcheck.events.loop import CallKind, GradientRequest, LoopFollowed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.call_order import of_kind
from tensorcheck.rule import Rule
from tensorcheck.sites import Site

_STEPS = 3


class InputRequiresGrad(Rule[ForwardFinished | LoopFollowed]):
    """The model's input requires a gradient that nothing reads.

    ## What it does
    Finds models that are trained on an input which was made to require a gradient, where all of the first steps have
    computed that gradient and the files of the running code name nothing that could read it: no `.grad`, no `autograd`,
    no hook, no checkpointing.

    ## Why it matters
    The gradient of the input is the most expensive one of the first layer, which needs none to learn. It is computed
    and kept in each step.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            batch = torch.rand(16, 4)
            batch.requires_grad_()
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for step in range(3):
            batch = torch.rand(16, 4)
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    Only where one place of the source asks for a gradient, and where the call of the model names the same tensor.
    """

    code = "TCK431"
    name = "input-requires-grad"
    severity = Severity.INFO
    since = "0.1.0"

    def __init__(self) -> None:
        self._called: ForwardFinished | None = None

    def check(self, event: ForwardFinished | LoopFollowed) -> Iterator[Finding]:
        """Remember the call; speak when the first steps are over."""
        match event:
            case ForwardFinished(is_training=True) if any(each.meta.requires_grad for each in event.inputs):
                self._called = self._called or event
            case LoopFollowed(idle_request=GradientRequest() as request) if self._called is not None:
                if _is_in_all(event) and _names(self._called.site, request.name):
                    yield self._finding(request, self._called)
            case _:
                pass

    def _finding(self, request: GradientRequest, called: ForwardFinished) -> Finding:
        given = next(each for each in called.inputs if each.meta.requires_grad)
        place = (Related(called.site, f"the model is given it as `{given.name}` here"),) if called.site else ()
        return self.finding(
            f"`{called.model.kind}` is given an input whose gradient nothing reads",
            label="asks for a gradient",
            expected=f"an input without a gradient: {given.meta.notation}",
            got=f"{given.meta}",
            site=request.site,
            module="",
            related=place,
        )


def _is_in_all(event: LoopFollowed) -> bool:
    """Whether gradients of something that no optimizer holds were computed in each step, and nothing else was."""
    passes = of_kind(event.calls, CallKind.BACKWARD)
    is_often = min(len(passes), len(of_kind(event.calls, CallKind.STEP))) >= _STEPS
    is_all = all(call.reaches_others and not call.retains_graph for call in passes)
    return is_often and is_all and not of_kind(event.calls, CallKind.DIFFERENTIATED)


def _names(site: Site | None, name: str) -> bool:
    return site is not None and re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.(])", site.code) is not None
