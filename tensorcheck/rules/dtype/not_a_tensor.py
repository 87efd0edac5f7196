"""TCK106."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, OtherValue, Setting
from tensorcheck.contracts import contract_of
from tensorcheck.events import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.lineage import Lineage, Step
from tensorcheck.reshaping import enclosed
from tensorcheck.rule import Rule
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor
from tensorcheck.wording import expectation, how_it_got_here, label_for, short, subject, weight_of

_MUST_BE = re.compile(r"must be Tensor, not ([\w.]+)$", re.MULTILINE)
_COMBINATION = re.compile(r"received an invalid combination of arguments - got \(((?:[^()]|\([^()]*\))*)\)")
_ATTRIBUTE = re.compile(r"^'([\w.]+)' object has no attribute '(\w+)'")
_OPERAND = re.compile(r"^unsupported operand type\(s\) for \S+: '([\w.]+)' and '([\w.]+)'")
_JOINED = re.compile(r"^can only concatenate (\w+) \(not \"(?:Tensor|Parameter)\"\)")
_ELEMENT = re.compile(r"expected Tensor as element (\d+) in argument \d+, but got ([\w.]+)")
_TENSORS = ("Tensor", "Parameter")
_NUMBERS = ("int", "float", "bool")
_SETTINGS = (*_NUMBERS, "str", "dtype", "device", "type")
_OF_TENSORS = frozenset(
    [
        "backward",
        "to",
        "cuda",
        "cpu",
        "detach",
        "detach_",
        "unsqueeze",
        "squeeze",
        "view",
        "size",
        "dim",
        "numel",
        "item",
    ]
    + [
        "float",
        "long",
        "half",
        "double",
        "bool",
        "numpy",
        "requires_grad",
        "requires_grad_",
        "grad",
        "grad_fn",
        "device",
    ]
    + [
        "dtype",
        "permute",
        "expand",
        "contiguous",
        "log_softmax",
        "softmax",
        "sigmoid",
        "relu",
        "tanh",
        "argmax",
        "flatten",
    ]
    + [
        "shape",
        "transpose",
        "reshape",
        "mean",
        "sum",
        "chunk",
        "split",
        "is_floating_point",
        "clamp",
        "max",
        "topk",
        "type",
    ]
)
"""Attributes of tensors; who asks another object for one of these took it for a tensor."""
_OF_ANYTHING = frozenset(
    ["shape", "size", "mean", "sum", "max", "split", "type", "dtype", "device", "grad", "bool", "float"]
)
"""Those that other libraries' objects have too, so that None may stand for one of these."""
_RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True, slots=True)
class _Value:
    """What stands where a tensor should."""

    kind: str
    spelled: str
    site: Site | None = None
    parts: tuple[NamedTensor, ...] = ()
    shown: str = ""
    lineage: Lineage = Lineage()
    element: str = ""
    """Which of its elements is no tensor, where it should be a list of them."""

    @property
    def phrase(self) -> str:
        """`a list`, `None`, `a NumPy array`."""
        known = {"NoneType": "None", "numpy.ndarray": "a NumPy array", "int": "an int"}
        name = self.kind.rpartition(".")[2]
        return known.get(self.kind, f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}")


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
        value = _guilty(call, event.message)
        if value is not None:
            yield self._found(event, call, value)

    def _found(self, event: Crashed, call: FailedCall, value: _Value) -> Finding:
        contract, weight = contract_of(call.module), weight_of(call.module) if call.module is not None else None
        spec = "a tensor"
        if call.module is not None and contract is not None and weight is not None:
            spec = expectation(contract.expectation(call.module, weight.dtype), call.module)
        headline = _headline(event, call, value)
        return self.finding(
            headline,
            label=label_for(headline, f"{value.kind}{f' {value.shown}' if value.shown else ''}", value.kind),
            expected="a list of tensors" if value.element else spec,
            got=_shown(value),
            site=value.site or event.site,
            module=event.modules[-1].path if event.modules else None,
            related=_made(value, event.site),
            notes=tuple(_notes(call, value)),
            path=how_it_got_here(event.calls),
            help=_help(call, value),
        )


def _guilty(call: FailedCall, message: str) -> _Value | None:
    """The value of which the message tells the class."""
    element = _ELEMENT.search(message)
    if element is not None:
        return _element(call, int(element[1]), element[2])
    asked = _ATTRIBUTE.search(message)
    if asked is not None:
        return _asked(call, *asked.groups())
    kind = _kind(message)
    if kind is None:
        return None
    return _of_kind(call, kind) or (_Value(kind, "") if call.kind != "operation" else _unread(call, kind))


def _kind(message: str) -> str | None:
    """The class that came where a tensor is wanted."""
    for pattern in (_MUST_BE, _JOINED):
        if (match := pattern.search(message)) is not None:
            return match[1] if match[1] not in _TENSORS else None
    operands = _OPERAND.search(message)
    if operands is not None and any(kind in _TENSORS for kind in operands.groups()):
        return next((kind for kind in operands.groups() if kind not in _TENSORS), None)
    combination = _COMBINATION.search(message)
    if combination is None:
        return None
    first = combination[1].partition(",")[0].strip()
    return first if first and "=" not in first and first not in (*_TENSORS, *_SETTINGS) and " " not in first else None


def _of_kind(call: FailedCall, kind: str) -> _Value | None:
    name = kind.rpartition(".")[2]
    others = (_other(each) for each in call.others if each.kind.rpartition(".")[2] == name)
    plain = (_plain(each, kind) for each in call.settings if type(each.value).__name__ in (name, *_same(name)))
    return next(iter([*others, *plain]), None)


def _same(kind: str) -> tuple[str, ...]:
    """A list of numbers is kept as a tuple."""
    return ("tuple",) if kind == "list" else ()


def _other(value: OtherValue) -> _Value:
    meta = value.meta.notation if value.meta is not None else ""
    tensors = f"of {len(value.parts)} tensors" if len(value.parts) > 1 else ""
    return _Value(value.kind, value.spelled, value.site, value.parts, meta or tensors, value.lineage)


def _plain(setting: Setting, kind: str) -> _Value:
    spelled = setting.site.code if setting.site is not None else setting.name
    return _Value(kind, spelled, setting.site, lineage=setting.lineage)


def _unread(call: FailedCall, kind: str) -> _Value | None:
    site = next(iter(call.unread), None)
    return _Value(kind, site.code if site is not None else "", site)


def _element(call: FailedCall, index: int, kind: str) -> _Value | None:
    lists = [setting for setting in call.settings if isinstance(setting.value, tuple)]
    found = next((_plain(setting, "list") for setting in lists), None)
    found = found or next((_other(each) for each in call.others), None) or _unread(call, "list")
    if found is None:
        return None
    return _Value("list", found.spelled, found.site, found.parts, f"of {kind}", found.lineage, f"{kind} {index}")


def _asked(call: FailedCall, kind: str, attribute: str) -> _Value | None:
    """What a tensor's attribute was asked of; a gradient that is None yet and a loss without a graph are others'."""
    is_of_another_rule = attribute == "backward" and kind in (*_NUMBERS, "numpy.ndarray")
    if attribute not in _OF_TENSORS or is_of_another_rule:
        return None
    value = _of_kind(call, kind)
    if value is None and call.kind == "operation":
        value = _unread(call, kind) if kind in ("tuple", "list", "dict", *_NUMBERS) else None
    if value is None or value.spelled.endswith(".grad"):
        return None
    is_data = bool(value.parts) or kind in ("tuple", "list", "dict", "ndarray", "numpy.ndarray", *_NUMBERS)
    is_none = kind == "NoneType" and (attribute not in _OF_ANYTHING or call.kind != "operation")
    return value if is_data or is_none else None


def _headline(event: Crashed, call: FailedCall, value: _Value) -> str:
    who = subject(call, event.site)
    if value.element:
        return f"{who} got a list of {value.element.partition(' ')[0]} but takes tensors"
    if call.kind == "operation" and value.spelled:
        return f"`{short(value.spelled)}` is {value.phrase}, not a tensor"
    return f"{who} got {value.phrase} but takes a tensor"


def _shown(value: _Value) -> str:
    if value.element:
        kind, _, index = value.element.partition(" ")
        return f"a list with a {kind} at {index}"
    parts = ", ".join(f"{part.name} {part.meta.notation}" for part in value.parts[:4])
    more = ", …" if len(value.parts) > 4 else ""  # noqa: PLR2004 - as many as were shown
    if parts:
        return f"{value.kind} of {parts}{more}"
    return f"{value.kind} {value.shown}" if value.shown else value.phrase.removeprefix("a ")


def _made(value: _Value, site: Site | None) -> tuple[Related, ...]:
    """The statement that gave the value its name, and the function of the user's that returned it."""
    steps = (Step.ASSIGNED, Step.LOADED, Step.RETURNED, Step.ATTRIBUTE)
    places = [each for each in value.lineage.ancestors if each.step in steps and each.site is not None]
    lines = {(site.file, site.line)} if site is not None else set()
    first = next((each for each in places if each.line not in lines), None)
    if first is None or first.site is None:
        return ()
    return (Related(first.site, f"`{short(first.name)}` is {value.phrase} from here on"),)


def _notes(call: FailedCall, value: _Value) -> Iterator[str]:
    if value.kind == "NoneType" and any(ancestor.function for ancestor in value.lineage.ancestors):
        yield "a function, or a `forward`, without `return` gives None"
    elif value.kind == "tuple" and _is_recurrent(value):
        yield "an LSTM, a GRU and an RNN return the pair (output, state)"


def _is_recurrent(value: _Value) -> bool:
    if any(ancestor.function in _RECURRENT for ancestor in value.lineage.ancestors):
        return True
    shapes = [part.meta.shape for part in value.parts]
    is_alike = len(shapes) in (2, 3) and len({len(shape) for shape in shapes}) == 1 and len(shapes[0]) in (2, 3)
    return is_alike and not value.lineage.ancestors and len({shape[-1] for shape in shapes}) == 1


def _help(call: FailedCall, value: _Value) -> str:
    """How the tensor is got out of what came, where there is one way."""
    if value.site is None:
        return ""
    code = enclosed(value.spelled)
    if value.element.startswith(_NUMBERS):
        return f"torch.tensor({value.spelled})"
    if value.kind == "numpy.ndarray" and not value.element:
        weight = weight_of(call.module) if call.module is not None else None
        is_other = weight is not None and f"{weight.dtype}[" not in value.shown and weight.dtype == "float32"
        return f"torch.from_numpy({value.spelled}){'.float()' if is_other else ''}"
    if value.kind == "NoneType" or not value.parts or value.kind not in ("tuple", "list"):
        return ""
    first, layer, contract = value.parts[0], call.module, contract_of(call.module)
    fits = layer is not None and contract is not None and contract.wrong_size(layer, first.meta) is None
    return f"{code}[0]" if fits and first.name == f"{value.spelled}[0]" else ""
