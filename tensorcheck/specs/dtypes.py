"""Which dtypes a spec takes: by their names, or by the name of a kind of them such as `float`."""

import difflib
import functools
from collections.abc import Iterable

KINDS = {
    "float": ("float", "bfloat"),
    "int": ("int",),
    "uint": ("uint",),
    "integer": ("int", "uint"),
    "complex": ("complex",),
    "inexact": ("float", "bfloat", "complex"),
    "real": ("float", "bfloat", "int", "uint"),
    "num": ("float", "bfloat", "int", "uint", "complex"),
}
"""Kinds of dtypes, as jaxtyping has them, by the beginnings of their names."""


def dtype_words(dtype: object) -> tuple[str, ...]:
    """The words of one or more dtypes: `torch.float32`, `"float32"`, `"float"`, or a list of such; none for None.

    >>> dtype_words(["float32", "int"])
    ('float32', 'int')
    >>> dtype_words("flaot32")
    Traceback (most recent call last):
    ValueError: dtype: 'flaot32' is no dtype of PyTorch and no kind of them; did you mean 'float32'?
    """
    if dtype is None:
        return ()
    several = dtype if isinstance(dtype, list | tuple | set | frozenset) else (dtype,)
    return tuple(dict.fromkeys(_word(one) for one in several))


def _word(dtype: object) -> str:
    name = str(dtype).removeprefix("torch.")
    if not _is_known(name):
        near = difflib.get_close_matches(name, (*_NAMES, *KINDS), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"dtype: {name!r} is no dtype of PyTorch and no kind of them{hint}"
        raise ValueError(msg)
    return name


_NAMES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128",
)  # fmt: skip
_RARE = ("float8_", "float4_", "quint", "qint", "bits", "int1", "int2", "int3", "int4", "int5", "int6", "int7", "uint1",
         "uint2", "uint3", "uint4", "uint5", "uint6", "uint7")  # fmt: skip


def _is_known(name: str) -> bool:
    return name in _NAMES or name in KINDS or name.startswith(_RARE)


@functools.lru_cache(maxsize=4096)
def takes(words: tuple[str, ...], dtype: object) -> bool:
    """Whether a dtype is one of these; any is where there are none.

    >>> takes(("float",), "bfloat16"), takes(("float32", "int"), "float64")
    (True, False)
    """
    name = str(dtype).removeprefix("torch.")
    return not words or any(name == word or name.startswith(KINDS.get(word, ()) or (" ",)) for word in words)


def shown(words: Iterable[str]) -> str:
    """How the dtypes are written before the brackets: `float32`, `float32|int`."""
    return "|".join(words)
