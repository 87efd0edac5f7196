"""TCK101."""

import re
from collections.abc import Iterator

from tensorcheck.contracts import contract_of
from tensorcheck.events import BatchLoaded, Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.tensors import NamedTensor, TensorMeta
from tensorcheck.wording import expectation, how_it_got_here, title, weight_of

_IS_ABOUT_DTYPE = re.compile(r"dtype|datatype|scalar type|not implemented for '|should be the same", re.IGNORECASE)


class LayerInputDtype(Rule[BatchLoaded | Crashed]):
    """A layer is given a tensor of another dtype than its weights.

    ## What it does
    Explains the exception that a layer of `torch.nn` raises when its input and its weights differ in dtype, or when
    indices are not integers: which layer, which expression, and whether the DataLoader already handed it out like that.

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
        """Compare the failed layer's input with what it takes."""
        if isinstance(event, BatchLoaded):
            self._batch = event
        elif _IS_ABOUT_DTYPE.search(event.message):
            yield from self._crashed(event)

    def _crashed(self, event: Crashed) -> Iterator[Finding]:
        call = event.call
        given = call.first if call is not None else None
        contract = contract_of(call.module) if call is not None else None
        if call is None or call.module is None or given is None or contract is None:
            return
        weight = weight_of(call.module)
        wanted = "int64" if contract.dtype == "integer" else weight.dtype if weight is not None else given.meta.dtype
        if given.meta.dtype == wanted or (contract.dtype == "integer" and given.meta.dtype == "int32"):
            return
        takes = "takes integer indices" if contract.dtype == "integer" else f"its weights are {wanted}"
        yield self.finding(
            f"{title(call.module)} got {given.meta.dtype} but {takes}",
            label=str(given.meta),
            expected=expectation(contract.expectation(call.module, wanted), call.module),
            got=given.meta.notation,
            site=given.site or event.site,
            module=call.module.path,
            related=self._made(given.meta),
            path=how_it_got_here(event.calls),
            help=f"{given.spelled}.{_CASTS.get(wanted, f'to(torch.{wanted})')}",
        )

    def _made(self, given: TensorMeta) -> tuple[Related, ...]:
        """The place where a batch with such a tensor came out of the DataLoader."""
        fields: tuple[NamedTensor, ...] = self._batch.fields if self._batch is not None else ()
        same = [field for field in fields if (field.meta.dtype, field.meta.shape[1:]) == (given.dtype, given.shape[1:])]
        if not same or self._batch is None:
            return ()
        loader = self._batch.loader
        note = f"`{same[0].name}` left the DataLoader as {given.dtype}"
        if loader.item_site is not None:
            return (Related(loader.item_site, f"{note}; `{loader.dataset}` hands it out here"),)
        return () if self._batch.site is None else (Related(self._batch.site, note),)


_CASTS = {"float32": "float()", "int64": "long()", "float64": "double()", "float16": "half()", "bfloat16": "bfloat16()"}
