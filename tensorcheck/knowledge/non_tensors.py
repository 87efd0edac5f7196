"""What stands where a failed call wants a tensor, told from PyTorch's message and from what the call was given."""

import re
from dataclasses import dataclass, field

from tensorcheck.calls import FailedCall, OtherValue, Setting
from tensorcheck.lineage import Lineage
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor

_MUST_BE = re.compile(r"must be Tensor, not ([\w.]+)$", re.MULTILINE)
_JOINED = re.compile(r"^can only concatenate (\w+) \(not \"(?:Tensor|Parameter)\"\)")
_COMBINATION = re.compile(r"received an invalid combination of arguments - got \(([\w.]+)[,)]")
_ATTRIBUTE = re.compile(r"^'([\w.]+)' object has no attribute '(\w+)'")
_OPERAND = re.compile(r"^unsupported operand type\(s\) for \S+: '([\w.]+)' and '([\w.]+)'")
_ELEMENT = re.compile(r"expected Tensor as element (\d+) in argument \d+, but got ([\w.]+)")

_TENSORS = ("Tensor", "Parameter")
_NUMBERS = ("int", "float", "bool")
_DATA = ("tuple", "list", "dict", "numpy.ndarray", *_NUMBERS)
"""What has none of a tensor's own attributes, and is most often data."""
_SETTINGS = (*_NUMBERS, "str", "dtype", "device", "type")
"""What a function may take first without being given a tensor."""
_OF_TENSORS = frozenset(
    [
        *("backward", "cpu", "cuda", "to", "detach", "detach_", "grad_fn", "requires_grad", "requires_grad_", "numpy"),
        *("dim", "numel", "unsqueeze", "view", "long", "half", "double", "permute", "expand", "contiguous"),
        *("log_softmax", "softmax", "sigmoid", "relu", "tanh", "is_floating_point", "topk", "clamp"),
    ]
)
"""Attributes of tensors; who asks another object for one of these took it for a tensor."""
_OF_ARRAYS_TOO = frozenset(
    [
        *("shape", "size", "dtype", "device", "item", "mean", "sum", "max", "argmax", "float", "bool"),
        *("reshape", "flatten", "transpose", "squeeze"),
    ]
)
"""Those that an array has as well, or an object of another library."""


@dataclass(frozen=True, slots=True)
class NonTensor:
    """A value that was taken for a tensor.

    >>> NonTensor("list", "batch").phrase, NonTensor("NoneType", "output").phrase
    ('a list', 'None')
    """

    kind: str
    """Its class as PyTorch writes it: `tuple`, `numpy.ndarray`, `NoneType`."""
    spelled: str = ""
    """How the user's line spells it; empty where that is not known."""
    site: Site | None = None
    parts: tuple[NamedTensor, ...] = ()
    """The tensors in it."""
    array: str = ""
    """The notation of a NumPy array."""
    lineage: Lineage = field(default_factory=Lineage)
    element: str = ""
    """Of a list that should hold tensors, the class of what it holds."""
    index: int = 0
    """Where in the list that stands."""

    @property
    def phrase(self) -> str:
        """What it is, for a sentence."""
        known = {"NoneType": "None", "numpy.ndarray": "a NumPy array"}
        name = self.kind.rpartition(".")[2]
        return known.get(self.kind, f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}")


def non_tensor_of(call: FailedCall, message: str) -> NonTensor | None:
    """The value of which the message tells the class; None where the message is about something else.

    >>> batch = OtherValue("input", "list")
    >>> call = FailedCall("Linear", "layer", others=(batch,))
    >>> non_tensor_of(call, "linear(): argument 'input' (position 1) must be Tensor, not list").kind
    'list'
    """
    element = _ELEMENT.search(message)
    if element is not None:
        return _holder(call, int(element[1]), element[2])
    asked = _ATTRIBUTE.search(message)
    if asked is not None:
        return _asked(call, *asked.groups())
    kind = _kind(message)
    if kind is None or kind in _TENSORS:
        return None
    return _of_kind(call, kind) or (NonTensor(kind) if call.kind != "operation" else _gone(call, kind))


def _kind(message: str) -> str | None:
    """The class that came where a tensor is wanted."""
    told = _MUST_BE.search(message) or _JOINED.search(message)
    if told is not None:
        return told[1]
    operands = _OPERAND.search(message)
    if operands is not None and any(kind in _TENSORS for kind in operands.groups()):
        return next((kind for kind in operands.groups() if kind not in _TENSORS), None)
    combination = _COMBINATION.search(message)
    return combination[1] if combination is not None and combination[1] not in _SETTINGS else None


def _asked(call: FailedCall, kind: str, attribute: str) -> NonTensor | None:
    """What a tensor's attribute was asked of.

    A gradient that is still None and a number in place of the loss are other mistakes.
    """
    is_loss = attribute == "backward" and kind in (*_NUMBERS, "numpy.ndarray")
    if attribute not in _OF_TENSORS | _OF_ARRAYS_TOO or is_loss:
        return None
    value = _of_kind(call, kind) or (_gone(call, kind) if call.kind == "operation" and kind in _DATA else None)
    if value is None or value.spelled.endswith(".grad"):
        return None
    is_certain = attribute in _OF_TENSORS or call.kind != "operation"
    return value if value.parts or (is_certain and kind in (*_DATA, "NoneType")) else None


def _of_kind(call: FailedCall, kind: str) -> NonTensor | None:
    """What the call was given that is of this class; of plain values, a list is kept as a tuple."""
    name = kind.rpartition(".")[2]
    names = (name, "tuple") if name == "list" else (name,)
    others = [_of_other(each) for each in call.others if each.kind.rpartition(".")[2] == name]
    plain = [_of_plain(each, kind) for each in call.settings if type(each.value).__name__ in names]
    return next(iter([*others, *plain]), None)


def _of_other(value: OtherValue) -> NonTensor:
    array = value.meta.notation if value.meta is not None else ""
    kind = value.kind if value.kind.startswith("numpy.") else value.kind.rpartition(".")[2]
    return NonTensor(kind, value.spelled, value.site, value.parts, array, value.lineage)


def _of_plain(setting: Setting, kind: str) -> NonTensor:
    spelled = setting.site.code if setting.site is not None else ""
    return NonTensor(kind, spelled, setting.site, lineage=setting.lineage)


def _gone(call: FailedCall, kind: str) -> NonTensor | None:
    """A part of the user's line whose value is gone, where there is just one."""
    if len(call.unread) != 1:
        return NonTensor(kind) if call.unread else None
    return NonTensor(kind, call.unread[0].code, call.unread[0])


def _holder(call: FailedCall, index: int, kind: str) -> NonTensor:
    """The list of which an element is no tensor."""
    plain = (_of_plain(setting, "list") for setting in call.settings if isinstance(setting.value, tuple))
    others = (_of_other(value) for value in call.others if value.kind in ("list", "tuple"))
    found = next(iter([*plain, *others]), None) or _gone(call, "list")
    if found is None:
        return NonTensor("list", element=kind, index=index)
    return NonTensor(
        found.kind, found.spelled, found.site, found.parts, lineage=found.lineage, element=kind, index=index
    )
