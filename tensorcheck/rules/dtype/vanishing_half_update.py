"""TCK116."""

from collections.abc import Iterator

from tensorcheck.events.numeric import UpdatesVanished
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once


class VanishingHalfUpdate(Rule[UpdatesVanished]):
    """The optimizer's steps are too small for weights in half precision, which stay as they were.

    ## What it does
    Compares weights in `float16` or `bfloat16` before and after each of the first three steps: at least three quarters
    of those that should have moved are the same to the last bit.

    ## Why it matters
    Nothing raises, and gradients are there. But between 0.05 and the next number of `bfloat16` lies 0.0002: a step of
    less than half of that is rounded away, in this step and in each that follows. Weights in float32 add such steps up,
    and `autocast` computes in half precision all the same.

    ## Example
    ```python
    model = nn.Linear(4, 4).to(torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4, dtype=torch.bfloat16)).square().mean().backward()
            optimizer.step()
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = model(torch.rand(8, 4))
            out.float().square().mean().backward()
            optimizer.step()
    ```

    ## Limits
    PyTorch's own SGD, Adam, AdamW, NAdam, Adamax and RMSprop are looked at: others may keep exact copies of the
    weights, or round at random. A warm-up is waited for.
    """

    code = "TCK116"
    name = "vanishing-half-update"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: UpdatesVanished) -> Iterator[Finding]:
        """Report it where the weights became half, or else where the optimizer got them."""
        if event.count < _FEWEST or event.still < _MOST * event.count:
            return
        site = event.made or event.built or event.site
        steps = Related(event.site, "its steps are taken here") if event.site is not None else None
        yield self.finding(
            f"{event.still / event.count:.0%} of the {event.dtype} weights stand still: the steps are too small",
            label=f"too coarse for steps of {event.meant:.2g}",
            expected=f"weights in float32, to which steps of {event.meant:.2g} can be added",
            got=f"{event.dtype}    `{event.name}` is about {event.size:.2g}, and next to it lies "
            f"{event.size * (1 + _SPACING[event.dtype]):.4g}",
            site=site,
            related=each_line_once((steps,), site) if steps is not None else (),
            notes=(f"{event.optimizer} has a learning rate of {event.rate:g}",),
            help=f'keep the weights in float32, and compute in half: with torch.autocast("cuda", '
            f"dtype=torch.{event.dtype}): ...",
        )


_FEWEST = 12
"""Of fewer values it says little."""
_MOST = 0.75
_SPACING = {"bfloat16": 2.0**-7, "float16": 2.0**-10}
"""The distance of a number to the next, as a part of it, at most."""
