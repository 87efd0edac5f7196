"""The form of an argument or an attribute in a capsule: JSON, with an object of one key for what JSON has no form for.

`null`, true, false, numbers and strings stand for themselves. `{"list": [...]}`, `{"tuple": [...]}`, `{"set": [...]}`,
`{"size": [...]}` and `{"dict": [[key, value], ...]}` hold others; `{"tensor": 3}`, `{"array": 3}` and `{"module": 3}`
are numbers of what the capsule holds; `{"function": "torch.nn.functional.relu"}` is one of PyTorch's functions, and
`{"user": "models:swish"}` a function or class of the user's; `{"missing": "a lambda"}` is what could not be captured.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tensorcheck.capsules.contents import CapsuleError, Value

_DEEPEST = 32
_LONGEST_NUMBER = 64
"""Bits; no size, index or seed of PyTorch's is longer."""


def checked(value: object, where: str, depth: int = 0) -> Value:
    """The value, if it has the form; a `CapsuleError` says what has not.

    >>> checked({"tuple": [1, {"float": "nan"}]}, "args[0]")
    {'tuple': [1, {'float': 'nan'}]}
    >>> checked({"pickle": "..."}, "args[0]")
    Traceback (most recent call last):
    tensorcheck.capsules.contents.CapsuleError: args[0] is a 'pickle', which no capsule has
    """
    if depth > _DEEPEST:
        msg = f"{where} is nested too deeply"
        raise CapsuleError(msg)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value, where)
    if not isinstance(value, dict) or len(value) != 1:
        msg = f"{where} is no value of a capsule"
        raise CapsuleError(msg)
    ((tag, content),) = value.items()
    if tag not in _CHECKS:
        msg = f"{where} is a {tag!r}, which no capsule has"
        raise CapsuleError(msg)
    _CHECKS[tag](content, where, depth)
    return value


def _number(value: float, where: str) -> Value:
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        msg = f"{where} is a number of {value.bit_length()} bits"
        raise CapsuleError(msg)
    return value


def _items(content: object, where: str, depth: int) -> None:
    if not isinstance(content, list):
        msg = f"{where} holds no list"
        raise CapsuleError(msg)
    for index, item in enumerate(content):
        checked(item, f"{where}[{index}]", depth + 1)


def _pairs(content: object, where: str, depth: int) -> None:
    if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):  # noqa: PLR2004 - key and value
        msg = f"{where} holds no pairs"
        raise CapsuleError(msg)
    for key, item in content:
        checked(key, f"a key of {where}", depth + 1)
        checked(item, f"{where}[{key!r}]", depth + 1)


def _attributes(content: object, where: str, depth: int) -> None:
    if not isinstance(content, dict):
        msg = f"{where} holds no attributes"
        raise CapsuleError(msg)
    for name, item in content.items():
        attribute_name(name, where)
        checked(item, f"{where}.{name}", depth + 1)


def attribute_name(name: str, where: str) -> str:
    """The name, if an object may have an attribute of it: what Python itself reads of an object is no such name.

    >>> attribute_name("__class__", "a module")
    Traceback (most recent call last):
    tensorcheck.capsules.contents.CapsuleError: '__class__' is no name of an attribute of a module
    """
    if not name.isidentifier() or name.startswith("__"):
        msg = f"{name!r} is no name of an attribute of {where}"
        raise CapsuleError(msg)
    return name


def _object(content: object, where: str, depth: int) -> None:
    if not isinstance(content, list) or len(content) != 2 or not isinstance(content[0], str):  # noqa: PLR2004 - class and attributes
        msg = f"{where} holds no class and attributes"
        raise CapsuleError(msg)
    _attributes(content[1], where, depth)


def _place(content: object, where: str, _: int) -> None:
    if not isinstance(content, int) or isinstance(content, bool) or content < 0:
        msg = f"{where} holds no number of a tensor or module"
        raise CapsuleError(msg)


def _text(content: object, where: str, _: int) -> None:
    if not isinstance(content, str):
        msg = f"{where} holds no text"
        raise CapsuleError(msg)


def _float(content: object, where: str, _: int) -> None:
    if content not in ("nan", "inf", "-inf"):
        msg = f"{where} holds no number"
        raise CapsuleError(msg)


def _complex(content: object, where: str, depth: int) -> None:
    _items(content, where, depth)
    if not isinstance(content, list) or len(content) != 2:  # noqa: PLR2004 - real and imaginary
        msg = f"{where} holds no complex number"
        raise CapsuleError(msg)


_Check = Callable[[object, str, int], None]

_CHECKS: Mapping[str, _Check] = MappingProxyType(
    {
        **dict.fromkeys(("list", "tuple", "set", "size", "slice"), _items),
        **dict.fromkeys(("tensor", "array", "module"), _place),
        **dict.fromkeys(("dtype", "device", "function", "user", "missing", "ellipsis"), _text),
        "dict": _pairs,
        "namespace": _attributes,
        "object": _object,
        "packed": _items,
        "float": _float,
        "complex": _complex,
    }
)


def plain(value: float) -> Value:
    """A float, which JSON has no form for where it is not finite.

    >>> plain(float("-inf"))
    {'float': '-inf'}
    """
    return value if math.isfinite(value) else {"float": str(float(value))}


def parts(value: Value) -> Iterator[tuple[str, Any]]:
    """Each tag in a value, with what it holds, the value's own first.

    >>> list(parts({"tuple": [1, {"tensor": 0}]}))
    [('tuple', [1, {'tensor': 0}]), ('tensor', 0)]
    """
    if not isinstance(value, dict):
        return
    ((tag, content),) = value.items()
    yield tag, content
    held = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for item in held:
        if isinstance(item, dict) and tag == "object":
            for attribute in item.values():
                yield from parts(attribute)
        elif isinstance(item, list):
            yield from (found for each in item for found in parts(each))
        else:
            yield from parts(item)
