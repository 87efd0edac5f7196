"""TCK432."""

from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.backward import LossComputed
from tensorcheck.events.loop import LoopFollowed
from tensorcheck.events.optimizer import OutsiderTrained
from tensorcheck.events.traced import StepTraced
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.adversaries import adversaries
from tensorcheck.knowledge.bootstrapped import Bootstrapped, bootstrapped
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, short


class TargetNotDetached(Rule[StepTraced | LoopFollowed | OutsiderTrained | LossComputed]):
    """Gradients flow into what a loss should take as given.

    ## What it does
    Finds, in the first step, a prediction that is compared with a discounted output of the same network plus a reward,
    through which gradients flow too. As an info, for it costs time alone: modules that get gradients and that no
    optimizer holds, as a teacher that is not frozen, where the target of a loss carries one; and fakes in a critic's
    loss whose gradients reach the generator, where they are zeroed before it steps.

    ## Why it matters
    With a bootstrapped target the network learns to lower what comes next as much as to predict it, which is another
    method, and converges slowly or not at all. The backward pass through a teacher or a generator is in vain.

    ## Example
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        state, after, reward = torch.rand(16, 4), torch.rand(16, 4), torch.rand(16)
        target = reward + 0.9 * model(after).max(1).values
        loss = nn.functional.mse_loss(model(state)[:, 0], target)
        loss.backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        state, after, reward = torch.rand(16, 4), torch.rand(16, 4), torch.rand(16)
        with torch.no_grad():
            target = reward + 0.9 * model(after).max(1).values
        loss = nn.functional.mse_loss(model(state)[:, 0], target)
        loss.backward()
        optimizer.step()
    ```

    ## Limits
    Losses between two outputs of a network that are meant to meet, as of two views of one image, are silent. Residual
    gradients, which flow through both sides on purpose, are not told apart: `# tensorcheck: ignore[TCK432]`.
    """

    code = "TCK432"
    name = "target-not-detached"
    severity = Severity.WARNING
    since = "0.1.0"

    def __init__(self) -> None:
        self._is_flowing = False
        """Whether the target of a loss had a gradient."""

    def check(self, event: StepTraced | LoopFollowed | OutsiderTrained | LossComputed) -> Iterator[Finding]:
        """Look at the comparisons of a traced step, and at whose gradients are in vain."""
        match event:
            case StepTraced():
                yield from map(self._bootstrapped, bootstrapped(event.trace))
            case LoopFollowed():
                yield from self._fakes(event)
            case LossComputed():
                self._is_flowing |= event.target.meta.requires_grad
            case OutsiderTrained() if self._is_flowing:
                yield self._outsider(event)
            case _:
                pass

    def _bootstrapped(self, found: Bootstrapped) -> Finding:
        code = found.made.site.code if found.made.site is not None else ""
        compared = Related(found.compared.site, "compared with it here") if found.compared.site is not None else None
        return self.finding(
            "gradients flow through a target that the network itself computes",
            label="this carries a gradient",
            expected="a target without a gradient: only the prediction learns",
            got="a reward plus a discounted output of the same parameters, with a gradient",
            site=found.made.site,
            related=(compared,) if compared is not None else (),
            help=f"({code}).detach()" if code and len(code) == len(short(code, _ROOM)) else "",
        )

    def _fakes(self, event: LoopFollowed) -> Iterator[Finding]:
        for found in adversaries(event):
            upstream, downstream = (event.optimizers[number].kind for number in (found.upstream, found.downstream))
            step = (Related(found.step.site, "only another optimizer steps here"),) if found.step.site else ()
            finding = self.finding(
                "this backward pass reaches parameters that its step leaves out",
                label="reaches two optimizers",
                expected=f"gradients for the parameters of the `{downstream}` that steps",
                got=f"gradients for those of the `{upstream}` before it too, zeroed before they are used",
                site=found.backward.site,
                related=step,
                notes=("with the output of the first model detached, none of its backward pass is computed",),
            )
            yield replace(finding, severity=Severity.INFO)

    def _outsider(self, event: OutsiderTrained) -> Finding:
        name = event.name
        finding = self.finding(
            first_that_fits(f"`{name}` gets gradients that nothing uses", "a module gets gradients that nothing uses"),
            label="computes gradients in vain",
            expected="no gradients for what is not trained",
            got=f"gradients for {counted(event.gradients, 'parameter')}, and no optimizer holds one",
            site=event.backward or event.site,
            help=f"{name}.requires_grad_(False)",
        )
        return replace(finding, severity=Severity.INFO)


_ROOM = 70
