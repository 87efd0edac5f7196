"""TCK614."""

from collections.abc import Iterator

from tensorcheck.events.numeric import ScaledUsed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule


class ScaledGradients(Rule[ScaledUsed]):
    """Gradients that a scaler has multiplied are clipped or stepped with, or the loss is multiplied twice.

    ## What it does
    Follows what `GradScaler.scale` returns. Finds, in two of the first steps, a clipping between `backward` and
    `scaler.step` without `scaler.unscale_` before it, an `optimizer.step()` in place of `scaler.step(optimizer)`, and
    a loss that is scaled again.

    ## Why it matters
    The scale begins at 65536. A clipping to a norm of 1 leaves gradients of 1/65536 after the division, and SGD stands
    still; a step with the scaled gradients is as much too large.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu")
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            scaler.scale(loss).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu")
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.rand(8, 4)).square().mean()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
    ```

    ## Limits
    A limit of the order of the scale is taken for one that was multiplied by it. A scaler that is not enabled, as on a
    machine without the accelerator that it was made for, is silent.
    """

    code = "TCK614"
    name = "scaled-gradients"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: ScaledUsed) -> Iterator[Finding]:
        """Say which of the three."""
        headline, label, expected, advice = _WORDS[event.how]
        yield self.finding(
            headline.format(f"{event.scale:.0f}"),
            label=label,
            expected=expected,
            got=f"a scale of {event.scale:.0f}",
            site=event.site,
            related=(Related(event.step_site, "they are divided here, too late"),) if event.step_site else (),
            help=advice,
        )


_WORDS = {
    "clipped": (
        "gradients are clipped while they are multiplied by {}",
        "clips scaled gradients",
        "gradients that are divided by the scale before they are clipped",
        "scaler.unscale_(optimizer)    before the clipping",
    ),
    "stepped": (
        "the optimizer steps with gradients that are multiplied by {}",
        "steps with scaled gradients",
        "gradients that are divided by the scale before the step",
        "scaler.step(optimizer); scaler.update()    in place of `optimizer.step()`",
    ),
    "scaled": (
        "the loss is scaled twice, by {} each time",
        "was scaled before",
        "one call of `scale` a loss",
        "scale the loss once, where `backward` is called: `scaler.scale(loss).backward()`",
    ),
}
