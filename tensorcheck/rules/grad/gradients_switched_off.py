"""TCK417."""

from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.gradients import CutKind, GradientCut, GradientsLost
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.lost_gradients import cut_headline, is_adversarial
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule


class GradientsSwitchedOff(Rule[GradientsLost]):
    """Part of the training forward runs with gradients switched off, though an optimizer holds its parameters.

    ## What it does
    Follows the first steps operation by operation. Where parameters that require a gradient and are in an optimizer
    went into the loss through operations under `torch.no_grad()`, `torch.inference_mode()` or after
    `torch.set_grad_enabled(False)` alone, it names the line that switched gradients off, and the parameters.

    ## Why it matters
    The rest of the model still learns, so the loss falls. Most often a helper that was written for evaluation is used
    in training too, or what was switched off is switched on again too late.

    ## Example
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(4, 8)
            self.head = nn.Linear(8, 2)

        @torch.no_grad()
        def encode(self, rows):
            return self.encoder(rows).relu()

        def forward(self, rows):
            return self.head(self.encode(rows))

    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(4, 8)
            self.head = nn.Linear(8, 2)

        def encode(self, rows):
            return self.encoder(rows).relu()

        def forward(self, rows):
            return self.head(self.encode(rows))

    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    A backbone that is frozen, or that no optimizer holds, is silent. One whose modules are in evaluation mode looks
    meant, and is an info: `requires_grad_(False)` would say so.
    """

    code = "TCK417"
    name = "gradients-switched-off"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: GradientsLost) -> Iterator[Finding]:
        """Report what is switched off by each line once."""
        match event:
            case GradientsLost(cut=GradientCut(kind=CutKind.SWITCHED_OFF)) if not is_adversarial(event):
                finding = self._finding(event)
                yield replace(finding, severity=Severity.INFO) if event.is_meant else finding
            case _:
                pass

    def _finding(self, event: GradientsLost) -> Finding:
        operation, switch = event.cut.operation, event.cut.operation.grad_off
        shown = operation.site if switch is not None and operation.site != switch else None
        return self.finding(
            cut_headline(event, "is on", switch),
            label="no gradients in here" if switch is not None else "gradients are off here",
            expected="gradients are recorded for what an optimizer holds, or it is frozen",
            got=f"`{operation.name}` ran without",
            site=switch or operation.site,
            module=operation.module,
            related=(Related(shown, "this runs without gradients"),) if shown is not None else (),
            notes=(
                f"never learns: {listed_parameters(event.cut.names, event.kinds)}",
                *(("its modules are in evaluation mode, so it may be meant",) if event.is_meant else ()),
            ),
        )
