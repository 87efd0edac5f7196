"""TCK201."""

import math
from collections.abc import Iterator, Sequence

from tensorcheck.contracts import Size, contract_of
from tensorcheck.events import Crashed, ModuleCalled
from tensorcheck.findings import Finding, Severity
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import expectation, how_it_got_here, replaced_number, title

_NAMES = {"in_channels": "channels", "num_features": "channels"}
_IMAGE_RANK = 4


class LayerInputFeatures(Rule[Crashed]):
    """A layer is given another number of features or channels than it was built for.

    ## What it does
    Explains the exception that a layer of `torch.nn` raises when a dim of its input has another size than one of its
    settings says: which layer, which expression, where the layer was built, and how the tensor came to its size.

    ## Why it matters
    `mat1 and mat2 shapes cannot be multiplied (32x3136 and 784x10)` names neither the layer nor the line where the
    wrong number stands, which is most often in the constructor and not where the exception is raised.

    ## Example
    ```python
    class Digits(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 16, 3, padding=1)
            self.head = nn.Linear(784, 10)

        def forward(self, images):
            return self.head(self.conv(images).flatten(1))

    model = Digits()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(32, 1, 14, 14))
    ```

    ## Use instead
    ```python
    class Digits(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 16, 3, padding=1)
            self.head = nn.Linear(16 * 14 * 14, 10)

        def forward(self, images):
            return self.head(self.conv(images).flatten(1))

    model = Digits()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(32, 1, 14, 14))
    ```
    """

    code = "TCK201"
    name = "layer-input-features"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Compare the failed layer's input with its settings."""
        call = event.call
        contract = contract_of(call.module) if call is not None else None
        given = call.first if call is not None else None
        if call is None or call.module is None or contract is None or given is None:
            return
        size = contract.wrong_size(call.module, given.meta)
        if size is None:
            return
        wanted, came = _wanted(call.module, size), given.meta.shape[size.dim]
        unit = _NAMES.get(size.setting, "features")
        product = _as_product(came, event.calls)
        yield self.finding(
            f"{title(call.module)} got {came} {unit} but was built for {wanted}",
            label=str(given.meta),
            expected=expectation(contract.expectation(call.module, given.meta.dtype), call.module),
            got=f"{given.meta.notation}{f'    {product}' if product else ''}",
            site=given.site or event.site,
            module=call.module.path,
            path=how_it_got_here(event.calls),
            help=_help(call.module, size, given.meta, given.spelled),
        )


def _wanted(layer: ModuleMeta, size: Size) -> int:
    wanted = layer.settings[size.setting]
    return wanted if isinstance(wanted, int) else 0


def _as_product(size: int, calls: Sequence[ModuleCalled]) -> str:
    """`3136 = 16 * 14 * 14`, where an earlier layer's output flattens to that size."""
    for call in reversed(calls):
        for output in call.outputs:
            dims = output.meta.shape[1:]
            if len(dims) > 1 and math.prod(dims) == size:
                return f"{size} = {' * '.join(map(str, dims))}"
    return ""


def _help(layer: ModuleMeta, size: Size, given: TensorMeta, name: str) -> str:
    """The layer's own line with the number that fits; of an image whose channels are last, the order of its dims."""
    wanted, came = _wanted(layer, size), given.shape[size.dim]
    if len(given.shape) == _IMAGE_RANK and size.setting == "in_channels" and given.shape[-1] == wanted:
        return f"{name}.permute(0, 3, 1, 2)"
    if wanted in given.shape or layer.definition is None:
        return ""
    return replaced_number(layer.definition.code, wanted, came) or ""
