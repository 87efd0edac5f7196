"""TCK302."""

from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.events import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import moved


class LossTargetDevice(Rule[Crashed]):
    """A loss is given predictions and targets, or class weights, on different devices.

    ## What it does
    Explains the exception that a loss raises when its target or its `weight` lives on another device than its input.

    ## Why it matters
    The images were moved and the labels were forgotten, or the class weights were made before the device was chosen.
    The message of PyTorch names devices but not which tensor is on which.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    labels = torch.zeros(8, dtype=torch.int64, device="meta")
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(8, 4)), labels)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    labels = torch.zeros(8, dtype=torch.int64)
    with tensorcheck.watch(model) as watch:
        logits = model(torch.zeros(8, 4))
        nn.CrossEntropyLoss()(logits, labels.to(logits.device))
    ```
    """

    code = "TCK302"
    name = "loss-target-device"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the devices of the failed loss's operands."""
        call = event.call
        given = call.operand("input") if call is not None else None
        if call is None or call.kind != "loss" or given is None:
            return
        for name, noun in (("target", "targets"), ("weight", "class weights")):
            other = call.operand(name)
            if other is not None and other.meta.device != given.meta.device:
                yield self.finding(
                    f"`{call.function}` got predictions on {given.meta.device} but {noun} on {other.meta.device}",
                    label=str(other.meta),
                    expected=f"{other.meta.notation} {given.meta.device}",
                    got=f"{other.meta.notation} {other.meta.device}",
                    site=other.site or event.site,
                    help=_help(other, given),
                )
                return


def _help(other: Operand, given: Operand) -> str:
    """Class weights are moved once, where they are made; a target at its use. The other way round helps nobody."""
    device = given.meta.device
    return "" if other.site is None or device == "meta" else moved(other.spelled, device, given.spelled)
