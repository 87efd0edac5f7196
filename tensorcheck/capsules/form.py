"""A capsule as JSON, and back: whatever was read is checked before anything is made of it."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from tensorcheck.capsules.contents import (
    CAPSULE_VERSION,
    CallKind,
    Capsule,
    CapsuleError,
    Failure,
    Json,
    Source,
    StoredCall,
    StoredModule,
    StoredTensor,
    Surroundings,
    Value,
)
from tensorcheck.capsules.values import attribute_name, checked, parts

DTYPES: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("bool", "uint8", "int8", "float8_e4m3fn", "float8_e5m2"), 1),
        **dict.fromkeys(("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"), 1),
        **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
        **dict.fromkeys(("int32", "uint32", "float32", "complex32"), 4),
        **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
        "complex128": 16,
    }
)
"""The dtypes that a capsule can hold values of, and the bytes of one."""

_LARGEST = 1 << 40
"""Elements; no tensor has more."""
_MOST_DIMS = 64
T = TypeVar("T")


def to_json(capsule: Capsule) -> Json:
    """The capsule as a JSON object.

    >>> to_json(Capsule(report={}))["capsule_version"]
    1
    """
    return {"capsule_version": CAPSULE_VERSION, **asdict(capsule)}


def from_json(content: object) -> Capsule:
    """The capsule that a JSON object was made from; a `CapsuleError` where it was made from none.

    >>> import json
    >>> from_json(json.loads(json.dumps(to_json(Capsule(report={}))))).notes
    ()
    """
    top = _object(content, "the file")
    version = top.get("capsule_version")
    if version != CAPSULE_VERSION:
        msg = f"this is no capsule of version {CAPSULE_VERSION}, which is the one that this tensorcheck reads"
        raise CapsuleError(msg)
    capsule = Capsule(
        report=_report(top.get("report")),
        failure=_optional(top.get("failure"), "failure", _failure),
        call=_optional(top.get("call"), "call", _call),
        model=_optional(top.get("model"), "model", _call),
        tensors=_several(top, "tensors", _tensor),
        modules=_several(top, "modules", _module),
        sources=_several(top, "sources", _source),
        surroundings=_surroundings(_object(top.get("surroundings"), "surroundings")),
        notes=_several(top, "notes", _text),
    )
    _refuse_dangling(capsule)
    return capsule


def _report(content: object) -> Json:
    """Whoever shows the report reads it whole; here it is only certain that its findings are some."""
    report = _object(content, "report")
    for index, finding in enumerate(_list(report.get("findings", []), "report.findings")):
        _text(_object(finding, f"report.findings[{index}]").get("rule"), f"report.findings[{index}].rule")
    return report


def _refuse_dangling(capsule: Capsule) -> None:
    """Numbers that lead to nothing, and modules that hold themselves."""
    for place, module in enumerate(capsule.modules):
        _refuse(module.children.values(), place, f"modules[{place}]")
        _refuse([*module.parameters.values(), *module.buffers.values()], len(capsule.tensors), f"modules[{place}]")
        _refuse_in(module.attributes.values(), capsule, place, f"modules[{place}]")
    for call in (capsule.call, capsule.model):
        if call is not None:
            _refuse([call.module], len(capsule.modules), call.function)
            _refuse_in([*call.args, *call.kwargs.values()], capsule, len(capsule.modules), call.function)
    _refuse([capsule.surroundings.torch_rng], len(capsule.tensors), "torch_rng")


def _refuse_in(held: Any, capsule: Capsule, modules: int, where: str) -> None:  # noqa: ANN401 - values of a dict
    found = [part for value in held for part in parts(value)]
    _refuse((number for tag, number in found if tag in ("tensor", "array")), len(capsule.tensors), where)
    _refuse((number for tag, number in found if tag == "module"), modules, where)


def _refuse(numbers: Any, limit: int, where: str) -> None:  # noqa: ANN401 - anything to walk over
    if any(number is not None and number >= limit for number in numbers):
        msg = f"{where} names a tensor or module that is not there"
        raise CapsuleError(msg)


def _tensor(content: object, where: str) -> StoredTensor:
    read = _object(content, where)
    shape, strides = _sizes(read.get("shape"), f"{where}.shape"), _sizes(read.get("strides"), f"{where}.strides")
    if len(shape) != len(strides) or len(shape) > _MOST_DIMS:
        msg = f"{where} has {len(shape)} dims and {len(strides)} strides"
        raise CapsuleError(msg)
    tensor = StoredTensor(
        dtype=_text(read.get("dtype"), f"{where}.dtype"),
        shape=shape,
        strides=strides,
        device=_text(read.get("device"), f"{where}.device"),
        requires_grad=_flag(read, "requires_grad", where),
        is_leaf=_flag(read, "is_leaf", where),
        is_parameter=_flag(read, "is_parameter", where),
        is_inference=_flag(read, "is_inference", where),
        has_values=_flag(read, "has_values", where),
        without=_text(read.get("without"), f"{where}.without"),
        is_plain=_flag(read, "is_plain", where),
        lowest=_optional(read.get("lowest"), f"{where}.lowest", _real),
        highest=_optional(read.get("highest"), f"{where}.highest", _real),
        statistics=_text(read.get("statistics"), f"{where}.statistics"),
    )
    if tensor.is_plain:
        _refuse_impossible(tensor, where)
    return tensor


def _refuse_impossible(tensor: StoredTensor, where: str) -> None:
    if tensor.dtype not in DTYPES:
        msg = f"{where} has the dtype {tensor.dtype!r}, which no capsule holds"
        raise CapsuleError(msg)
    if math.prod(tensor.shape) > _LARGEST or extent(tensor) > _LARGEST:
        msg = f"{where} has {math.prod(tensor.shape)} elements, more than a tensor can have"
        raise CapsuleError(msg)


def extent(tensor: StoredTensor) -> int:
    """How many elements the memory of a tensor spans.

    >>> extent(StoredTensor("float32", (2, 3), (4, 1), "cpu"))
    7
    """
    if 0 in tensor.shape:
        return 0
    pairs = zip(tensor.stored_shape, tensor.strides, strict=True)
    return 1 + sum((size - 1) * stride for size, stride in pairs)


def stored_bytes(tensor: StoredTensor) -> int:
    """How long its values are in the file.

    >>> stored_bytes(StoredTensor("float64", (2, 3), (3, 1), "cpu", has_values=True))
    48
    """
    return math.prod(tensor.stored_shape) * DTYPES.get(tensor.dtype, 0)


def _module(content: object, where: str) -> StoredModule:
    read = _object(content, where)
    return StoredModule(
        origin=_dotted(read.get("origin"), f"{where}.origin"),
        kind=_dotted(read.get("kind"), f"{where}.kind"),
        attributes={
            attribute_name(name, where): checked(value, f"{where}.{name}")
            for name, value in _object(read.get("attributes"), f"{where}.attributes").items()
        },
        parameters=_numbers(read, "parameters", where),
        buffers=_numbers(read, "buffers", where),
        children=_numbers(read, "children", where),
        is_training=_flag(read, "is_training", where),
        without=_text(read.get("without"), f"{where}.without"),
    )


def _call(content: object, where: str) -> StoredCall:
    read = _object(content, where)
    kind = _text(read.get("kind"), f"{where}.kind")
    if kind not in get_args(CallKind):
        msg = f"{where} is a call of the kind {kind!r}, which no capsule has"
        raise CapsuleError(msg)
    kwargs = _object(read.get("kwargs"), f"{where}.kwargs")
    return StoredCall(
        kind=kind,  # type: ignore[arg-type]  # it was just looked at
        function=_dotted(read.get("function"), f"{where}.function"),
        module=_optional(read.get("module"), f"{where}.module", _size),
        args=_values(read.get("args"), f"{where}.args"),
        kwargs={name: checked(value, f"{where}.{name}") for name, value in kwargs.items()},
        code=_text(read.get("code"), f"{where}.code"),
        place=_text(read.get("place"), f"{where}.place"),
    )


def _values(content: object, where: str) -> tuple[Value, ...]:
    return tuple(checked(value, f"{where}[{index}]") for index, value in enumerate(_list(content, where)))


def _failure(content: object, where: str) -> Failure:
    read = _object(content, where)
    return Failure(_text(read.get("error"), f"{where}.error"), _text(read.get("message"), f"{where}.message"))


def _source(content: object, where: str) -> Source:
    read = _object(content, where)
    return Source(
        _dotted(read.get("module"), f"{where}.module"),
        _text(read.get("file"), f"{where}.file"),
        _text(read.get("text"), f"{where}.text"),
    )


def _surroundings(read: Json) -> Surroundings:
    where = "surroundings"
    autocast = _object(read.get("autocast"), "autocast")
    return Surroundings(
        threads=_size(read.get("threads"), "threads"),
        default_dtype=_text(read.get("default_dtype"), "default_dtype"),
        is_grad_enabled=_flag(read, "is_grad_enabled", where),
        is_inference=_flag(read, "is_inference", where),
        autocast={device: _text(dtype, "autocast") for device, dtype in autocast.items()},
        torch_rng=_optional(read.get("torch_rng"), "torch_rng", _size),
        python_rng=checked(read.get("python_rng"), "python_rng"),
        numpy_rng=checked(read.get("numpy_rng"), "numpy_rng"),
        platform=_text(read.get("platform"), "platform"),
    )


def _object(content: object, where: str) -> Json:
    if not isinstance(content, dict):
        msg = f"{where} is no JSON object"
        raise CapsuleError(msg)
    return content


def _list(content: object, where: str) -> list[object]:
    if not isinstance(content, list):
        msg = f"{where} is no list"
        raise CapsuleError(msg)
    return content


def _several(read: Json, name: str, each: Callable[[object, str], T]) -> tuple[T, ...]:
    return tuple(each(item, f"{name}[{index}]") for index, item in enumerate(_list(read.get(name), name)))


def _optional(content: object, where: str, each: Callable[[object, str], T]) -> T | None:
    return None if content is None else each(content, where)


def _numbers(read: Json, name: str, where: str) -> dict[str, int | None]:
    where = f"{where}.{name}"
    return {key: _optional(each, f"{where}[{key!r}]", _size) for key, each in _object(read.get(name), where).items()}


def _sizes(content: object, where: str) -> tuple[int, ...]:
    return tuple(_size(each, where) for each in _list(content, where))


def _size(content: object, where: str) -> int:
    if not isinstance(content, int) or isinstance(content, bool) or not 0 <= content <= _LARGEST:
        msg = f"{where} is no size"
        raise CapsuleError(msg)
    return content


def _real(content: object, where: str) -> float:
    if not isinstance(content, int | float) or isinstance(content, bool):
        msg = f"{where} is no number"
        raise CapsuleError(msg)
    return content


def _flag(read: Json, name: str, where: str) -> bool:
    flag = read.get(name)
    if not isinstance(flag, bool):
        msg = f"{where}.{name} is neither true nor false"
        raise CapsuleError(msg)
    return flag


def _text(content: object, where: str) -> str:
    if not isinstance(content, str):
        msg = f"{where} is no text"
        raise CapsuleError(msg)
    return content


def _dotted(content: object, where: str) -> str:
    text = _text(content, where)
    if not all(part.isidentifier() or part == "<locals>" for part in text.split(".")):
        msg = f"{where} is {text!r}, which is no name"
        raise CapsuleError(msg)
    return text


def named_tensors(call: StoredCall) -> Iterator[tuple[str, int]]:
    """The tensors among a call's arguments, each with what it goes by.

    >>> list(named_tensors(StoredCall("loss", "torch.nn.functional.mse_loss", kwargs={"input": {"tensor": 0}})))
    [('input', 0)]
    """
    named = [*((f"args[{index}]", value) for index, value in enumerate(call.args)), *call.kwargs.items()]
    for name, value in named:
        yield from ((name, number) for tag, number in parts(value) if tag in ("tensor", "array"))
