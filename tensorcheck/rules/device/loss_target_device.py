"""TCK302."""

from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.knowledge.placement import IS_ABOUT_DEVICES, are_apart, device_places, movings
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, how_it_got_here, label_for

_WORDS = {"target": "targets", "weight": "class weights"}


class LossTargetDevice(Rule[Crashed]):
    """A loss is given predictions and targets, or class weights, on different devices.

    ## What it does
    Explains the exception that a loss raises when its target, its `weight` or another of its operands lives on another
    device than its input.

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
        given = call.first if call is not None else None
        if call is None or call.kind != "loss" or given is None or not IS_ABOUT_DEVICES.search(event.message):
            return
        other = next((each for each in call.operands if are_apart(each.meta.device, given.meta.device)), None)
        if other is not None:
            yield self._found(event, call, given, other)

    def _found(self, event: Crashed, call: FailedCall, given: Operand, other: Operand) -> Finding:
        device = given.meta.device
        guilty = given if device == "meta" else other

        noun = _WORDS.get(other.name, f"`{other.name}`")
        headline = first_that_fits(
            f"`{call.function}` got predictions on {device} but {noun} on {other.meta.device}",
            f"`{call.function}` got {noun} on {other.meta.device}",
        )
        return self.finding(
            headline,
            label=label_for(headline, str(guilty.meta), f"{guilty.meta.notation} {guilty.meta.device}"),
            expected=f"{other.meta.notation} {device}",
            got=f"{other.meta.notation} {other.meta.device}",
            site=guilty.site or event.site,
            related=device_places(guilty, event.call),
            path=how_it_got_here(event.calls) if guilty is given else (),
            notes=_notes(other),
            fixes=(*movings(other, device, given), *movings(given, other.meta.device, other)),
        )


def _notes(other: Operand) -> tuple[str, ...]:
    """What a loss module keeps is moved with it: `loss_fn.to(device)`."""
    is_kept = other.name in ("weight", "pos_weight") and other.site is None
    return ("the loss keeps this tensor; it is no part of the model and does not move with it",) if is_kept else ()
