"""TCK613."""

from collections.abc import Iterator

from tensorcheck.events.numeric import HalfUnscaled
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import counted


class HalfWithoutScaler(Rule[HalfUnscaled]):
    """Gradients are computed in float16, and no gradient scaler keeps the small ones from becoming zero.

    ## What it does
    Finds, in the second step, layers that compute in float16 and are trained, where the program has no `GradScaler`
    and the loss was not multiplied by hand.

    ## Why it matters
    Float16 has no numbers below 6e-8, and most gradients of a trained network are smaller at some time. They become
    exactly zero, the layers that are far from the loss first, and training stops without a word. bfloat16 has the
    range of float32 and needs no scaler.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.float16):
                out = model(torch.rand(8, 4))
            loss = out.float().square().mean()
            loss.backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.float16):
                out = model(torch.rand(8, 4))
            loss = out.float().square().mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    ```

    ## Limits
    A scaler that is there is taken to be used, and a loss whose last operation is a product to be scaled.
    """

    code = "TCK613"
    name = "half-without-scaler"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: HalfUnscaled) -> Iterator[Finding]:
        """Report it once, where `backward` is called."""
        site = event.operation.site
        yield self.finding(
            f"{counted(event.count, 'operation')} in float16 without a gradient scaler",
            label="small gradients become zero",
            expected="a loss that is scaled before `backward`, or bfloat16",
            got=f"float16, unscaled    {event.zeros:.0%} of the gradients' values are zero",
            site=event.backward,
            related=(Related(site, "the first that computes in float16"),) if site is not None else (),
            help="scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()"
            "    with scaler = torch.amp.GradScaler()",
        )
