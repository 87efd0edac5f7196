"""Which operand of a failed call has a dtype that the function does not take, told from PyTorch's message."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.knowledge.dtypes import castings, named_in
from tensorcheck.knowledge.index_operands import index_operands, value_operands
from tensorcheck.knowledge.loss_dtypes import wrong_dtype_of
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import weight_of

_REFUSALS = re.compile(
    r"not implemented for '(?P<implemented>\w+)'|infer output dtype.* Got: (?P<mean>\w+)|"
    r"(?:Low precision dtypes not supported|floating point or complex tensor as input)\. Got (?P<linalg>\w+)|"
    r"floating-point dtypes.*got: (?P<only>\w+)|common dtype is (?P<common>\w+)|unsupported ScalarType (?P<numpy>\w+)|"
    r"topk does not support (?P<topk>\w+) dtypes|scalar outputs but got torch\.(?P<scalar>\w+)|"
    r"(?P<halves>either float or double dtype)|(?P<floats>only supports? floating point)|"
    r"(?P<bool>(?:two bool tensors|a bool tensor) is not|on a bool tensor|support bool input|Boolean inputs not)|"
    r"(?P<whole>only implemented on integer)|(?P<unsigned>on an unsigned type)|"
    r"(?P<complex>not support(?:ed for)? complex)|(?P<overflow>cannot be converted to type \S+ without overflow)"
)
_NARROW = ("float16", "bfloat16")
_BITWISE = ("and", "or", "xor", "invert", "lshift", "rshift")
_CAST = re.compile(r"result type (\w+) can't be cast to the desired output type (\w+)")
_LARGEST = {"float16": 65504.0}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operand that the call does not take as it is."""

    operand: Operand
    """Of one whose value is gone, what its user spells and the dtype that the message names."""
    takes: str
    """What the call takes: `floats`."""
    wanted: str
    """The dtype that is likeliest meant."""
    is_gone: bool = False
    into: TensorMeta | None = None
    """What the call was to write to, where that is what refuses."""
    number: Setting | None = None
    """A number that the operand's dtype can't hold, where that is what is wrong."""
    is_overflow: bool = False

    def fixes(self) -> Iterator[Fix]:
        """The edits after which the call may take it."""
        largest = _LARGEST.get(self.operand.meta.dtype)
        if self.number is not None and largest is not None and isinstance(self.number.value, float | int):
            end = "max" if self.number.value > 0 else "min"
            value = largest if self.number.value > 0 else -largest
            yield Fix(f"torch.finfo({self.operand.spelled}.dtype).{end}", (ChangeSetting(self.number.name, value),))
        yield from castings(self.operand, self.wanted)


def refusal_of(call: FailedCall, message: str) -> Refusal | None:
    """The operand that is refused; None where the message is about something else, or another rule's mistake.

    >>> lengths = Operand("lengths", TensorMeta((3,), "int64", "cpu"))
    >>> call = FailedCall("mean", "operation", (lengths,))
    >>> refusal = refusal_of(call, "mean(): could not infer output dtype. Got: Long")
    >>> refusal.operand.name, refusal.takes
    ('lengths', 'floats')
    """
    if (call.kind == "loss" and wrong_dtype_of(call) is not None) or _is_of_weights(call):
        return None
    written = _CAST.search(message)
    if written is not None:
        return _cast(call, *named_in(" ".join(written.groups())))
    refused = _REFUSALS.search(message)
    return _refused(call, refused, message) if refused is not None else None


def _refused(call: FailedCall, refused: re.Match[str], message: str) -> Refusal | None:
    kind, named = str(refused.lastgroup), named_in(refused[str(refused.lastgroup)])
    if kind == "overflow":
        return _overflow(call)
    if any(operand.meta.dtype in named for operand, _ in index_operands(call)):
        return None
    operand = next((each for each in value_operands(call) if _is_refused(each.meta, kind, named)), None)
    if operand is None:
        return _gone(call, named[0], message) if named and call.unread else None
    return Refusal(operand, _takes(call, operand.meta.dtype, message), _wanted(call, operand.meta.dtype))


def _is_of_weights(call: FailedCall) -> bool:
    """Whether a layer's weights are of another dtype, which then is the mistake."""
    weight = weight_of(call.module) if call.module is not None else None
    return weight is not None and any(operand.meta.dtype != weight.dtype for operand in value_operands(call))


def _is_refused(meta: TensorMeta, kind: str, named: tuple[str, ...]) -> bool:
    match kind:
        case "bool" | "complex":
            return meta.dtype.startswith(kind)
        case "whole":
            return not meta.dtype.startswith(("int", "uint", "bool"))
        case "halves":
            return meta.dtype not in ("float32", "float64")
        case "unsigned":
            return meta.dtype.startswith("uint")
        case "floats":
            return not meta.dtype.startswith(("float", "bfloat", "complex"))
        case _:
            return meta.dtype in named


def _gone(call: FailedCall, dtype: str, message: str) -> Refusal | None:
    """An operand whose value is gone: the first part that could not be read."""
    site = call.unread[0]
    operand = Operand(site.code, TensorMeta((), dtype, "cpu"), site)
    return Refusal(operand, _takes(call, dtype, message), _wanted(call, dtype), is_gone=True)


def _takes(call: FailedCall, dtype: str, message: str) -> str:
    if dtype.startswith("complex"):
        return "real numbers"
    if dtype in _NARROW:
        return "float32 or float64"
    if call.function in _BITWISE or "operator.invert" in message:
        return "integers or bool"
    is_any_number = dtype == "bool" and not re.search(r"floating|infer output|not implemented for", message)
    return "numbers" if is_any_number else "floats"


def _wanted(call: FailedCall, dtype: str) -> str:
    is_mask = call.function in _BITWISE and not dtype.startswith(("float16", "bfloat16"))
    return "bool" if is_mask else "float32"


def _cast(call: FailedCall, result: str, target: str) -> Refusal | None:
    """What is computed does not fit into the tensor that it is to be written to."""
    values = value_operands(call)
    operand = next((each for each in values if each.meta.dtype == target), None)
    is_in_place = call.kind == "operation"
    widened = next((each for each in values if each.meta.dtype == result and result.startswith("complex")), None)
    if widened is not None and operand is not None and is_in_place:
        return Refusal(widened, "real numbers", target, into=operand.meta)
    if operand is None:
        return None
    return Refusal(operand, "floats", result, into=TensorMeta((), result, "") if is_in_place else None)


def _overflow(call: FailedCall) -> Refusal | None:
    operand = next(iter(value_operands(call)), None)
    if operand is None:
        return None
    if operand.meta.dtype.startswith("complex"):
        return Refusal(operand, "real numbers", "float32")
    number = next((each for each in reversed(call.settings) if _is_number(each.value)), None)
    return Refusal(operand, "", "float32", number=number, is_overflow=True)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
