"""TCK102."""

from collections.abc import Iterator

from tensorcheck.calls import FailedCall
from tensorcheck.contracts import target_form
from tensorcheck.events import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta

_CLASS_INDICES = ("int64", "uint8")


class LossTargetDtype(Rule[Crashed]):
    """A loss is given targets of a dtype that it does not take.

    ## What it does
    Explains the exception that a loss raises when its targets have the wrong dtype: class indices that are not int64,
    or numbers to compare with that are not floating point.

    ## Why it matters
    The messages (`expected target dtype to be Long or Byte, but got Int`, `Found dtype Long but expected Float`) leave
    open which tensor is meant and which of the two should change. A loss over classes counts with integers, a loss over
    numbers or probabilities compares floats with floats.

    ## Example
    ```python
    model = nn.Linear(4, 3)
    labels = torch.zeros(8).type(torch.int32)
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(8, 4)), labels)
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 3)
    labels = torch.zeros(8).type(torch.int64)
    with tensorcheck.watch(model) as watch:
        nn.CrossEntropyLoss()(model(torch.zeros(8, 4)), labels)
    ```
    """

    code = "TCK102"
    name = "loss-target-dtype"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the failed loss's target with what it takes."""
        call = event.call
        given = call.operand("input") if call is not None else None
        target = call.operand("target") if call is not None else None
        if call is None or call.kind != "loss" or given is None or target is None:
            return
        wanted = _wanted(call, given.meta, target.meta)
        if wanted is None or target.meta.dtype == wanted:
            return
        kind = "class indices" if wanted == "int64" else "targets like its input"
        yield self.finding(
            f"`{call.function}` got {target.meta.dtype} targets but takes {kind} ({wanted})",
            label=str(target.meta),
            expected=f"{wanted}[{', '.join(map(str, target.meta.shape))}]",
            got=target.meta.notation,
            site=target.site or event.site,
            help=f"{target.spelled}.{'long()' if wanted == 'int64' else f'to(torch.{wanted})'}",
        )


def _wanted(call: FailedCall, given: TensorMeta, target: TensorMeta) -> str | None:
    """The dtype that the target should have; None where the dtype is not what is wrong."""
    match target_form(call.function):
        case "class indices" if call.function == "cross_entropy" and target.shape == given.shape:
            return None if target.is_floating_point else given.dtype
        case "class indices":
            return None if target.dtype in _CLASS_INDICES else "int64"
        case "like the input":
            return None if target.is_floating_point and call.function != "binary_cross_entropy" else given.dtype
        case _:
            return None
