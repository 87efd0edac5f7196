"""TCK106."""

from collections.abc import Iterator

from tensorcheck.calls import FailedCall
from tensorcheck.contracts import contract_of
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.non_tensors import NonTensor, non_tensor_of
from tensorcheck.lineage import Ancestor, Lineage, Step
from tensorcheck.rule import Rule
from tensorcheck.wording import expectation, how_it_got_here, label_for, short, subject, title, titled, weight_of

_RECURRENT = ("LSTM", "GRU", "RNN")
_MOST = 4
"""Tensors within a value that are told."""


class NotATensor(Rule[Crashed]):
    """A tuple, a list, an array or None stands where a tensor should.

    ## What it does
    Explains the exception of a layer, a loss or a function that is given something else than a tensor: the pair that an
    LSTM returns, a batch that was not unpacked, a NumPy array, the output object of a model, or None, from a function
    without `return`. It says what came and which tensors are in it.

    ## Why it matters
    The message names a function of PyTorch's own (`linear(): argument 'input' (position 1) must be Tensor, not tuple`)
    or an attribute (`'tuple' object has no attribute 'size'`) and neither the layer nor what handed the value on.

    ## Example
    ```python
    model = nn.Sequential(nn.LSTM(4, 6), nn.Linear(6, 2))
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(7, 2, 4))
    ```

    ## Use instead
    ```python
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(4, 6)
            self.head = nn.Linear(6, 2)

        def forward(self, series):
            output, _ = self.lstm(series)
            return self.head(output)

    model = Tagger()
    with tensorcheck.watch(model) as watch:
        model(torch.zeros(7, 2, 4))
    ```
    """

    code = "TCK106"
    name = "not-a-tensor"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look for the value that the failed call took for a tensor."""
        call = event.call
        if call is None or event.loading is not None or event.error not in ("TypeError", "AttributeError"):
            return
        value = non_tensor_of(call, event.message)
        if value is not None:
            yield self._found(event, call, value)

    def _found(self, event: Crashed, call: FailedCall, value: NonTensor) -> Finding:
        headline = _headline(event, call, value)
        return self.finding(
            headline,
            label=label_for(headline, f"{value.kind} {value.array}".strip(), value.kind),
            expected="a list of tensors" if value.element else _expected(call),
            got=_got(value),
            site=value.site or event.site,
            module=event.modules[-1].path if event.modules else None,
            related=tuple(_made(event, value)) or tuple(_given_by(event, call)),
            notes=tuple(_notes(value)),
            path=how_it_got_here(event.calls),
            help=_help(call, value),
        )


def _headline(event: Crashed, call: FailedCall, value: NonTensor) -> str:
    who = subject(call, event.site)
    if value.element:
        return f"{who} got a list of {value.element} but takes tensors"
    if call.kind == "operation" and value.spelled:
        return f"`{short(value.spelled)}` is {value.phrase}, not a tensor"
    return f"{who} got {value.phrase} but takes a tensor"


def _expected(call: FailedCall) -> str:
    layer, contract = call.module, contract_of(call.module)
    weight = weight_of(layer) if layer is not None else None
    if layer is None:
        return "a tensor"
    if contract is None or weight is None:
        return expectation("a tensor", layer)
    return expectation(contract.expectation(layer, "int64" if contract.dtype == "integer" else weight.dtype), layer)


def _got(value: NonTensor) -> str:
    if value.element:
        return f"{value.element} at {value.index}"
    parts = [f"{part.name} {part.meta.notation}" for part in value.parts[:_MOST]]
    held = ", ".join([*parts, "…"] if len(value.parts) > _MOST else parts)
    return f"{value.kind} of {held}" if held else f"{value.kind} {value.array}".strip()


def _made(event: Crashed, value: NonTensor) -> Iterator[Related]:
    """The statement that gave the value its name, as far as it was only handed on since."""
    steps = (Step.ASSIGNED, Step.LOADED, Step.RETURNED, Step.ATTRIBUTE)
    place = next((each for each in _chain(value.lineage) if each.step in steps), None)
    is_elsewhere = place is not None and (event.site is None or place.line != (event.site.file, event.site.line))
    if place is not None and place.site is not None and is_elsewhere:
        yield Related(place.site, f"`{short(place.name)}` is {value.phrase} from here on")


def _given_by(event: Crashed, call: FailedCall) -> Iterator[Related]:
    """Where the layer was built whose output came, and the model that both are parts of."""
    model = event.modules[0] if event.modules else None
    if call.before is not None and call.before.definition is not None:
        yield Related(call.before.definition, f"{titled(call.before)} is built here and gives what came")
        if model is not None and model.definition is not None and model.definition != call.before.definition:
            yield Related(model.definition, f"{title(model)} is built here")


def _chain(lineage: Lineage) -> Iterator[Ancestor]:
    """The ancestors as long as each has but one."""
    place: int | None = 0 if lineage.ancestors else None
    while place is not None:
        ancestor = lineage.ancestors[place]
        yield ancestor
        place = ancestor.parents[0] if len(ancestor.parents) == 1 else None


def _notes(value: NonTensor) -> Iterator[str]:
    if value.kind == "NoneType" and any(
        each.site is not None and "(" in each.site.code for each in _chain(value.lineage)
    ):
        yield "likely: a function, or a `forward`, that ends without `return` gave None"
    elif value.kind == "tuple" and _is_recurrent(value):
        yield "an LSTM, a GRU and an RNN return the pair (output, state)"


def _is_recurrent(value: NonTensor) -> bool:
    """Whether a recurrent layer gave the value, told from its lineage, or else from the sizes of what is in it."""
    if value.lineage.ancestors:
        return any(ancestor.function in _RECURRENT for ancestor in value.lineage.ancestors)
    shapes = [part.meta.shape for part in value.parts]
    return len(shapes) in (2, 3) and len({(len(shape), *shape[-1:]) for shape in shapes}) == 1 and len(shapes[0]) > 1


def _help(call: FailedCall, value: NonTensor) -> str:
    """How the tensor is got out of what came, where there is one way."""
    if value.site is None:
        return ""
    if value.element:
        return f"torch.tensor({value.spelled})" if value.element in ("int", "float") else ""
    if value.kind == "numpy.ndarray":
        return f"torch.from_numpy({value.spelled}){_cast(call, value)}"
    layer, contract = call.module, contract_of(call.module)
    first = f"{value.spelled}[0]"
    found = next((part for part in value.parts if part.name == first), None)
    if layer is None or contract is None or found is None or contract.wrong_size(layer, found.meta) is not None:
        return ""
    return first


def _cast(call: FailedCall, value: NonTensor) -> str:
    weight = weight_of(call.module) if call.module is not None else None
    is_other = weight is not None and weight.dtype == "float32" and not value.array.startswith("float32")
    return ".float()" if is_other and call.function not in ("Embedding", "EmbeddingBag") else ""
