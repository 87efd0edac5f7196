"""TCK201."""

import math
import re
from collections.abc import Iterator, Sequence

from tensorcheck.calls import FailedCall, Setting
from tensorcheck.contracts import contract_of
from tensorcheck.events.crash import Crashed
from tensorcheck.events.forward import ModuleCalled
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.knowledge.misfit_fixes import fixes_of, sure_help
from tensorcheck.knowledge.misfits import Misfit, is_of_images, lacks_channels, misfit_of, order_of
from tensorcheck.knowledge.reshaping import sized
from tensorcheck.lineage_wording import made, written
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import (
    counted,
    expectation,
    first_that_fits,
    how_it_got_here,
    label_for,
    labels_of,
    title,
    titled,
)

_INDIVISIBLE = re.compile(r"embed_dim must be divisible by num_heads")


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
        """Compare the failed layer's inputs with its settings."""
        call = event.call
        if call is None:
            return
        misfit, layer = misfit_of(call), call.module
        if layer is not None and misfit is not None and not _is_of_rank(misfit, layer):
            yield self._found(event, call, layer, misfit)
        elif call.kind == "operation" and _INDIVISIBLE.search(event.message):
            yield from self._indivisible(event, call)

    def _found(self, event: Crashed, call: FailedCall, layer: ModuleMeta, misfit: Misfit) -> Finding:
        given = misfit.operand
        headline = _headline(call, layer, misfit)
        product = _as_product(misfit.came, event.calls)
        return self.finding(
            headline,
            label=label_for(headline, *labels_of(given)),
            expected=expectation(_wanted(call, layer, misfit), layer),
            got=f"{given.meta.notation}{f'    {product}' if product else ''}",
            site=given.site or event.site,
            module=layer.path,
            related=tuple(_places(event, call, layer, misfit)),
            notes=tuple(_notes(event, layer, misfit)),
            path=how_it_got_here(event.calls),
            help=sure_help(call, layer, misfit),
            fixes=tuple(fixes_of(call, layer, misfit)),
        )

    def _indivisible(self, event: Crashed, call: FailedCall) -> Iterator[Finding]:
        """Attention is built with a number of features that its heads can't share out."""
        features = _number(call, "embed_dim", "d_model", "0")
        heads = _number(call, "num_heads", "nhead", "1")
        if features is None or heads is None:
            return
        wide, many = features.value, heads.value
        assert isinstance(wide, int) and isinstance(many, int)  # noqa: S101, PT018 - `_number` gives no other
        headline = f"`{call.function}` gets {wide} features, which {many} heads can't share"
        yield self.finding(
            headline,
            label=f"{wide} and {many}",
            expected=f"a multiple of {many}",
            got=f"{wide} = {wide // many} * {many} + {wide % many}",
            site=event.site,
            module=event.modules[-1].path if event.modules else None,
            related=(*written(features.lineage, wide), *written(heads.lineage, many)),
            fixes=tuple(
                Fix(f"num_heads={number}", (ChangeSetting(heads.name, number),))
                for number in range(many, 0, -1)
                if wide % number == 0
            ),
        )


def _is_of_rank(misfit: Misfit, layer: ModuleMeta) -> bool:
    """Whether the number or the order of the dims is wrong, which is another rule's."""
    contract = contract_of(layer)
    return order_of(misfit, layer) is not None or lacks_channels(misfit, contract)


def _headline(call: FailedCall, layer: ModuleMeta, misfit: Misfit) -> str:
    operand = misfit.operand
    unit = counted(misfit.came, _unit(layer, misfit))
    where = "" if operand is call.first else f" in `{operand.handed or operand.name}`"
    so = f", which {misfit.wanted} does not divide" if misfit.divides else f" but was built for {misfit.wanted}"
    return first_that_fits(
        f"{titled(layer)} got {unit}{where}{so}",
        f"{title(layer)} got {unit}{so}",
        f"{title(layer)} got {misfit.came}{so}",
    )


def _unit(layer: ModuleMeta, misfit: Misfit) -> str:
    if layer.layer == "PixelUnshuffle":
        return "row" if misfit.dim == len(misfit.operand.meta.shape) - 2 else "column"
    return _UNITS.get(misfit.setting, "feature")


_UNITS = {
    **dict.fromkeys(("in_channels", "num_features", "num_channels", "num_parameters", "num_groups"), "channel"),
    **dict.fromkeys(("groups", "upscale_factor", "kernel_size"), "channel"),
    "output_size": "block",
}


def _wanted(call: FailedCall, layer: ModuleMeta, misfit: Misfit) -> str:
    """The input as it should be."""
    contract, meta = contract_of(layer), misfit.operand.meta
    is_first = (
        contract is not None and bool(contract.sizes) and contract.sizes[0].dim < 0 and misfit.operand is call.first
    )
    if contract is not None and is_first and not misfit.divides:
        return contract.expectation(layer, meta.dtype)
    sizes = [str(size) for size in meta.shape]
    sizes[misfit.dim] = f"n * {misfit.wanted}" if misfit.divides else str(misfit.wanted)
    why = f"    {misfit.setting}={layer.settings.get(misfit.setting)}" if misfit.setting != "dim" else ""
    return f"{meta.dtype}[{', '.join(sizes)}]{why if layer.definition is None else ''}"


def _as_product(size: int, calls: Sequence[ModuleCalled]) -> str:
    """`3136 = 16 * 14 * 14`, where an earlier layer's output flattens to that size."""
    for call in reversed(calls):
        for output in call.outputs:
            dims = output.meta.shape[1:]
            if len(dims) > 1 and math.prod(dims) == size:
                return f"{size} = {' * '.join(map(str, dims))}"
    return ""


def _places(event: Crashed, call: FailedCall, layer: ModuleMeta, misfit: Misfit) -> Iterator[Related]:
    """Where the layer was built and its number written, who gave the other one, and how it came here."""
    value = layer.settings.get(misfit.setting)
    if layer.definition is not None:
        yield Related(layer.definition, f"{title(layer)} is built for {value} here")
    yield from written(call.made.get(misfit.setting), value)
    if call.chosen is not None:
        yield Related(call.chosen, f"`{layer.kind}` is chosen here")
    given, came = misfit.operand, misfit.came
    maker = next((each for each in reversed(event.calls) if _gave(each, misfit)), None)
    if maker is not None and maker.module.definition is not None:
        yield Related(maker.module.definition, _giving(maker.module, counted(came, _unit(layer, misfit))))
    else:
        yield from sized(given.lineage)

    def has_the_size(meta: TensorMeta) -> bool:
        return came in meta.shape

    yield from made(given, has_the_size, f"{list(given.meta.shape)}")


def _notes(event: Crashed, layer: ModuleMeta, misfit: Misfit) -> Iterator[str]:
    """Who gave the size that came, if that was a layer whose line is not known; and what takes channels instead."""
    shape = misfit.operand.meta.shape
    if layer.layer == "LayerNorm" and is_of_images(misfit) and shape[1] == misfit.wanted:
        yield f"dim 1 has {misfit.wanted}, but LayerNorm takes the last; nn.GroupNorm(1, {misfit.wanted}) takes dim 1"
    maker = next((each for each in reversed(event.calls) if _gave(each, misfit)), None)
    if maker is not None and maker.module.definition is None:
        yield _giving(maker.module, counted(misfit.came, _unit(layer, misfit)))


def _gave(call: ModuleCalled, misfit: Misfit) -> bool:
    """Whether a layer of PyTorch's own gave just such a tensor, and its size in that dim by a setting of its own."""
    shape, settings = misfit.operand.meta.shape, call.module.settings
    is_sized = any(name.startswith("out_") or name in _WIDTHS for name in settings)
    is_in_dim = "out_channels" not in settings or misfit.dim == 1 or len(shape) < _BATCH_OF_ROWS
    return is_sized and is_in_dim and any(output.meta.shape == shape for output in call.outputs)


_BATCH_OF_ROWS = 3
"""Dims of what a convolution takes and gives, at least; then the channels are dim 1."""


_WIDTHS = ("embedding_dim", "hidden_size")


def _giving(maker: ModuleMeta, what: str) -> str:
    both = f": 2 directions of {maker.settings.get('hidden_size')}" if maker.settings.get("bidirectional") else ""
    return f"{titled(maker)} gives {what}{both}"


def _number(call: FailedCall, *names: str) -> Setting | None:
    """The first whole number that a constructor was given under one of these names."""
    found = [setting for name in names if (setting := call.setting(name)) is not None]
    return next((setting for setting in found if isinstance(setting.value, int) and setting.value), None)
