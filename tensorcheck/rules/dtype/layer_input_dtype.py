"""TCK101."""

import re
from collections.abc import Iterator, Sequence

from tensorcheck.calls import Cause, FailedCall, Operand
from tensorcheck.contracts import contract_of
from tensorcheck.events.crash import Crashed
from tensorcheck.events.loading import BatchLoaded
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.dtypes import castings, dtype_places
from tensorcheck.knowledge.index_operands import value_operands
from tensorcheck.knowledge.weight_causes import cure, dtype_cause, notes_on, told
from tensorcheck.lineage import Step
from tensorcheck.modules import ModuleMeta
from tensorcheck.rule import Rule
from tensorcheck.tensors import NamedTensor, TensorMeta
from tensorcheck.wording import (
    expectation,
    first_that_fits,
    how_it_got_here,
    label_for,
    labels_of,
    short,
    titled,
    weight_of,
)

_IS_ABOUT_DTYPE = re.compile(
    r"dtype|data ?type|scalar type|not implemented for '|should be the same|to have the same type|Type promoting",
    re.IGNORECASE,
)
_BYTE = 255
_OF_LOADERS = (Step.LOADED, Step.SAMPLE, Step.COLLATED)


class LayerInputDtype(Rule[BatchLoaded | Crashed]):
    """A layer is given a tensor of another dtype than its weights.

    ## What it does
    Explains the exception that a layer of `torch.nn` raises when one of its inputs, or a state that is handed to it,
    and its weights differ in dtype: which layer, which expression, and where that tensor came from.

    ## Why it matters
    PyTorch's message (`mat1 and mat2 must have the same dtype, but got Double and Float`) names neither the layer nor
    the tensor. Most often NumPy made the data, and NumPy's default is float64 where PyTorch's is float32.

    ## Example
    ```python
    import numpy

    model = nn.Linear(4, 2)
    features = torch.from_numpy(numpy.ones((8, 4)))
    with tensorcheck.watch(model) as watch:
        model(features)
    ```

    ## Use instead
    ```python
    import numpy

    model = nn.Linear(4, 2)
    features = torch.from_numpy(numpy.ones((8, 4), dtype=numpy.float32))
    with tensorcheck.watch(model) as watch:
        model(features)
    ```
    """

    code = "TCK101"
    name = "layer-input-dtype"
    severity = Severity.ERROR
    since = "0.1.0"

    def __init__(self) -> None:
        self._batch: BatchLoaded | None = None

    def check(self, event: BatchLoaded | Crashed) -> Iterator[Finding]:
        """Compare the failed layer's inputs with its weights."""
        if isinstance(event, BatchLoaded):
            self._batch = event
        elif event.call is not None and event.call.module is not None and _IS_ABOUT_DTYPE.search(event.message):
            yield from self._crashed(event, event.call, event.call.module)

    def _crashed(self, event: Crashed, call: FailedCall, layer: ModuleMeta) -> Iterator[Finding]:
        weight = weight_of(layer)
        if weight is None or not layer.layer:
            return
        given = next((each for each in value_operands(call) if each.meta.dtype != weight.dtype), None)
        if given is not None:
            yield self._found(event, call, layer, weight, given)

    def _found(
        self, event: Crashed, call: FailedCall, layer: ModuleMeta, weight: TensorMeta, given: Operand
    ) -> Finding:
        is_first = given is call.first
        contract = contract_of(layer) if is_first else None
        wanted = TensorMeta(given.meta.shape, weight.dtype, "").notation
        cause = _cause(call, weight, given)
        cured = cure(cause)
        fixes = () if cured else tuple(castings(given, weight.dtype))
        headline = _headline(layer, weight, given, is_first=is_first)
        places = (told(cause),) if cause is not None else (*dtype_places(given), *self._loaded(given))

        return self.finding(
            headline,
            label=label_for(headline, *labels_of(given)),
            expected=expectation(contract.expectation(layer, weight.dtype) if contract else wanted, layer),
            got=given.meta.notation,
            site=given.site or event.site,
            module=layer.path,
            related=places,
            notes=(*_holders(event.modules), *_notes(layer, given), *notes_on(cause)),
            path=how_it_got_here(event.calls),
            help=cured or next((fix.help for fix in fixes), ""),
            fixes=fixes,
        )

    def _loaded(self, operand: Operand) -> tuple[Related, ...]:
        """The place where a batch with such a tensor came out of the DataLoader, where its source does not tell."""
        if any(ancestor.step in _OF_LOADERS for ancestor in operand.lineage.ancestors):
            return ()
        given = operand.meta
        fields: tuple[NamedTensor, ...] = self._batch.fields if self._batch is not None else ()
        same = [field for field in fields if (field.meta.dtype, field.meta.shape[1:]) == (given.dtype, given.shape[1:])]
        if not same or self._batch is None:
            return ()
        loader = self._batch.loader
        note = f"`{same[0].name}` left the DataLoader as {given.dtype}"
        if loader.item_site is not None:
            return (Related(loader.item_site, f"{note}; `{loader.dataset}` hands it out here"),)
        return () if self._batch.site is None else (Related(self._batch.site, note),)


def _cause(call: FailedCall, weight: TensorMeta, given: Operand) -> Cause | None:
    """What made the weights differ from an input that is as PyTorch makes tensors; an input that is not is at fault.

    Where another input has the dtype of the weights, that dtype is meant.
    """
    cause = dtype_cause(call, weight.dtype, given.meta.dtype)
    is_meant = any(each.meta.dtype == weight.dtype for each in call.operands)
    is_as_built = given.meta.dtype == "float32" and not is_meant
    return cause if cause is not None and (is_as_built or cause.kind == "unregistered") else None


def _headline(layer: ModuleMeta, weight: TensorMeta, given: Operand, *, is_first: bool) -> str:
    start, rest = f"{titled(layer)} got {given.meta.dtype}", f"but its weights are {weight.dtype}"
    if is_first:
        return f"{start} {rest}"
    return first_that_fits(
        f"{start} `{short(given.spelled)}` {rest}", f"{start} `{given.name}` {rest}", f"{start} {rest}"
    )


def _holders(modules: Sequence[ModuleMeta]) -> Iterator[str]:
    """The module of PyTorch's own that a layer is part of, for its users write only that."""
    layers = [module for module in modules if module.layer and module.kind not in ("Sequential", "ModuleList")]
    if len(layers) > 1:
        yield f"{titled(layers[-1])} is part of {layers[0]}"


def _notes(layer: ModuleMeta, given: Operand) -> Iterator[str]:
    """What a cast alone would leave wrong."""
    if given.meta.dtype == "uint8" and layer.layer.startswith("Conv") and given.high is not None and given.high > 1:
        yield f"likely: bytes of 0 to {_BYTE} are to be divided by {_BYTE} as well"
    elif given.meta.dtype == "int64" and layer.layer == "Linear" and given.low is not None and given.low >= 0:
        yield "if these are classes or tokens and no quantities, an `nn.Embedding` is missing before it"
