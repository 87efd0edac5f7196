"""TCK405."""

from collections.abc import Iterator

from tensorcheck.events import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted


class LossWithoutGraph(Rule[Crashed]):
    """`backward` is called on a loss that no parameter leads to.

    ## What it does
    Explains `element 0 of tensors does not require grad and does not have a grad_fn` where the model does have
    trainable parameters: it says whether the model's own output had already lost its gradient, or the loss lost it
    afterwards.

    ## Why it matters
    The exception is raised at `backward`, but the mistake is where the graph was cut: a forward pass under `no_grad`, a
    `.detach()`, `.item()`, `.numpy()`, `argmax`, or a loss wrapped in `torch.tensor(...)`.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        loss = model(torch.rand(16, 4)).square().mean()
        torch.tensor(loss.item()).backward()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        loss = model(torch.rand(16, 4)).square().mean()
        loss.backward()
    ```
    """

    code = "TCK405"
    name = "loss-without-graph"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Say on which side of the model's output the gradient was lost."""
        if "does not require grad" not in event.message or "grad_fn" not in event.message or not event.trainable:
            return
        match event.output_required_grad:
            case True:
                note = "the model's output still required a gradient: it was lost between the output and this loss"
            case False:
                note = "the model's output did not require a gradient: it was lost inside the model's forward"
            case None:
                note = "the watched model was not called with gradients on before this"
        loss, cut = event.loss, event.cut
        made = cut.site if cut is not None else None
        yield self.finding(
            f"`backward` got a loss without a graph, though {counted(event.trainable, 'parameter')} can train",
            label=f"`{cut.name}` cuts it here" if made and cut else str(loss.meta) if loss is not None else "no grad",
            expected="a loss that was computed from the model's output, with gradients on",
            got=str(loss.meta) if loss is not None else "a tensor without a gradient",
            site=made or event.site,
            related=(Related(event.site, "`backward` is called here"),) if made and event.site else (),
            notes=() if made else (note,),
        )
