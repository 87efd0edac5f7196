"""TCK410."""

import re
from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.lineage_wording import made
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import first_that_fits, label_for, short

_TENSOR = re.compile(r"only tensors of floating point (and complex )?dtype can require gradients", re.IGNORECASE)
_MODULE = re.compile(
    r"Module\.to only accepts floating point or complex dtypes, but got desired dtype=(?:torch\.)?(?P<dtype>\w+)"
    r"|data set to a tensor that requires gradients must be floating point"
)
_DTYPE = re.compile(r"torch\.(u?int\d+|long|short|int|bool|qu?int\d+)\b")


class IntegerRequiresGrad(Rule[Crashed]):
    """A tensor of integers or booleans is asked for gradients.

    ## What it does
    Explains `Only Tensors of floating point and complex dtype can require gradients`: which tensor it is and where its
    numbers became integers. The same of a model that is converted to an integer dtype.

    ## Why it matters
    Only floating-point numbers have gradients. `torch.arange(4)` and `torch.tensor([1, 2])` are int64, and a list
    without one decimal point is enough.

    ## Example
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        model.thresholds = nn.Parameter(torch.arange(3))
    ```

    ## Use instead
    ```python
    model = nn.Linear(4, 2)
    with tensorcheck.watch(model) as watch:
        model.thresholds = nn.Parameter(torch.arange(3.0))
    ```
    """

    code = "TCK410"
    name = "integer-requires-grad"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Name what is of integers."""
        module = _MODULE.search(event.message)
        if module is not None:
            yield self._module(event, module["dtype"])
        elif _TENSOR.search(event.message):
            yield self._tensor(event)

    def _tensor(self, event: Crashed) -> Finding:
        call = event.call
        whole = next((each for each in call.operands if not _has_gradients(each.meta)), None) if call else None
        dtype = whole.meta.dtype if whole is not None else _dtype_of(call)
        name = short(whole.spelled if whole is not None else call.function if call is not None else "the tensor")
        asker = f"`{short(call.function)}`" if call is not None and whole is not None else "it"
        headline = first_that_fits(
            f"`{name}` is {dtype} and can't have the gradient that {asker} asks for",
            f"`{name}` is {dtype} and can't have a gradient",
        )
        return self.finding(
            headline,
            label=label_for(headline, str(whole.meta) if whole is not None else dtype, dtype),
            expected="floating-point or complex numbers",
            got=whole.meta.notation if whole is not None else dtype,
            site=whole.site if whole is not None and whole.site is not None else event.site,
            related=made(whole, lambda meta: not _has_gradients(meta), dtype) if whole is not None else (),
            help=_as_floats(event, whole),
            fixes=(Fix(f"{whole.spelled}.float()", (ChangeOperand(whole.name, "float"),)),) if whole else (),
        )

    def _module(self, event: Crashed, told: str | None) -> Finding:
        call, code = event.call, event.site.code if event.site is not None else ""
        written = _DTYPE.search(code)
        dtype = told or (written[1] if written is not None else "integers")
        owner = call.owner if call is not None else None
        kind = owner.kind if owner is not None else "model"
        name = short(code.partition(".")[0]) if "." in code else kind
        return self.finding(
            first_that_fits(f"`{name}` ({kind}) is converted to {dtype}, which has no gradients", f"{dtype}: no grad"),
            label=f"to {dtype}",
            expected="a floating-point or complex dtype for parameters",
            got=dtype,
            site=event.site,
        )


def _has_gradients(meta: TensorMeta) -> bool:
    return meta.is_floating_point or meta.dtype.startswith("complex")


def _dtype_of(call: FailedCall | None) -> str:
    """The dtype that a tensor gets from the numbers that it is made of."""
    values = [setting.value for setting in call.settings if setting.name in ("0", "data")] if call is not None else []
    flat = [each for value in values for each in (value if isinstance(value, tuple) else (value,))]
    return "bool" if flat and all(isinstance(each, bool) for each in flat) else "int64"


def _as_floats(event: Crashed, whole: Operand | None) -> str:
    code = event.site.code if event.site is not None else ""
    if whole is not None:
        return f"{whole.spelled}.float()"
    return f"{code[:-1]}, dtype=torch.float32)" if code.endswith(")") and "dtype" not in code else ""
