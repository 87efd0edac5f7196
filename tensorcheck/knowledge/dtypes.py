"""Dtypes as PyTorch's messages call them, and the casts from one to another."""

import re
from collections.abc import Iterator, Mapping

from tensorcheck.calls import Operand
from tensorcheck.findings import Related
from tensorcheck.fixes import ChangeOperand, ChangeSource, Fix
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.lineage import Ancestor, Step
from tensorcheck.lineage_wording import MAKERS, made
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import each_line_once, short

_NAMES: Mapping[str, str] = {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "bfloat16": "bfloat16",
    "complexdouble": "complex128",
    "complexfloat": "complex64",
    "complexhalf": "complex32",
    "long": "int64",
    "long int": "int64",
    "int": "int32",
    "short": "int16",
    "short int": "int16",
    "char": "int8",
    "signed char": "int8",
    "byte": "uint8",
    "unsigned char": "uint8",
    "bool": "bool",
}
_PLAIN = r"(?:float|complex|uint|int)\d+"
_WORD = re.compile(
    rf"\b(?:CPU|torch\.(?:cuda\.)?)?({'|'.join(sorted(_NAMES, key=len, reverse=True))}|{_PLAIN})(?:Tensor|Type)?\b",
    re.IGNORECASE,
)
_CASTS: Mapping[str, str] = {
    "float64": "double",
    "float32": "float",
    "float16": "half",
    "bfloat16": "bfloat16",
    "int64": "long",
    "int32": "int",
    "bool": "bool",
}


_MAKERS = MAKERS | frozenset(
    [
        *(*_CASTS.values(), "type", "eq", "noteq", "lt", "lte", "gt", "gte", "logical_not", "isnan"),
        *("zeros", "ones", "full", "eye", "linspace", "arange", "loadtxt", "genfromtxt", "read_csv", "to_numpy"),
        *("default_rng", "rand", "randn", "random", "normal", "standard_normal", "uniform", "gamma", "beta", "poisson"),
        *("exponential", "integers", "randint", "randperm", "complex", "polar", "view_as_complex", "stft"),
        *(f"{inverse}{kind}fft{dims}" for inverse in ("", "i") for kind in ("", "r", "h") for dims in ("", "2", "n")),
    ]
)
"""Functions that settle the dtype of what they give, whatever they were given."""


def named_in(message: str) -> tuple[str, ...]:
    """The dtypes that a message names, in its order and as users write them.

    >>> named_in("expected m1 and m2 to have the same dtype, but got: c10::BFloat16 != float")
    ('bfloat16', 'float32')
    >>> named_in("Input type (unsigned char) and weight type (torch.FloatTensor) should be the same")
    ('uint8', 'float32')
    """
    words = (match[1].lower() for match in _WORD.finditer(message))
    return tuple(_NAMES.get(word, word) for word in words)


def castings(operand: Operand, dtype: str) -> Iterator[Fix]:
    """The edits after which an operand has this dtype, the likeliest first; none where it is not spelled.

    >>> from tensorcheck.sites import Site
    >>> from tensorcheck.tensors import TensorMeta
    >>> labels = Operand("target", TensorMeta((8,), "int32", "cpu"), Site("train.py", 4, code="labels"))
    >>> [fix.help for fix in castings(labels, "int64")]
    ['labels.long()']
    """
    if operand.meta.dtype == dtype:
        return
    yield from _where_built(operand, dtype)
    if operand.site is None:
        return
    source = _source(operand)
    if source is not None and source.site is not None and dtype in _CASTS:
        cast, place = _CASTS[dtype], f"{source.site.function}, {source.site.file}:{source.site.line}"
        yield Fix(f"{enclosed(source.name)}.{cast}()    in {place}", (ChangeSource(operand.name, cast),))
    code = enclosed(operand.spelled)
    if operand.meta.dtype.startswith("complex"):
        yield Fix(f"{code}.abs()", (ChangeOperand(operand.name, "abs"),))
    elif dtype in _CASTS:
        yield Fix(f"{code}.{_CASTS[dtype]}()", (ChangeOperand(operand.name, _CASTS[dtype]),))
    else:
        yield Fix(f"{code}.to(torch.{dtype})", (ChangeOperand(operand.name, "to", (f"torch.{dtype}",)),))


def _where_built(operand: Operand, dtype: str) -> Iterator[Fix]:
    """The cast of what a loss was built with, in the call that built it."""
    began = operand.lineage.ancestors[1:2] if operand.site is None else ()
    for given in began:
        is_cast_later = given.meta is not None and given.meta.dtype != operand.meta.dtype
        if given.step is Step.ARGUMENT and given.site is not None and dtype in _CASTS and not is_cast_later:
            where = ", ".join([*([given.site.function] if given.site.function else []), _line(given.site)])
            code = f"{enclosed(given.site.code)}.{_CASTS[dtype]}()"
            yield Fix(f"{code}    in {where}", (ChangeOperand(operand.name, _CASTS[dtype]),))


def _line(site: Site) -> str:
    return f"{site.file}:{site.line}"


def _source(operand: Operand) -> Ancestor | None:
    """What the dataset or the collate function hands out as this operand, if nothing is done to it on its way."""
    is_loaded = False
    for ancestor in operand.lineage.way_back(lambda meta: meta.dtype == operand.meta.dtype):
        is_loaded |= ancestor.step is Step.LOADED
        if ancestor.step is Step.COLLATED or (ancestor.step is Step.SAMPLE and ancestor.name.startswith("torch.")):
            return ancestor
        is_call = ancestor.site is not None and ancestor.site.code.endswith(")")
        if is_call and not is_loaded and ancestor.step is not Step.ARGUMENT:
            return None
    return None


def dtype_places(operand: Operand) -> tuple[Related, ...]:
    """Where an operand got its dtype, as related places.

    >>> from tensorcheck.tensors import TensorMeta
    >>> dtype_places(Operand("target", TensorMeta((8,), "int32", "cpu")))
    ()
    """
    dtype, lineage = operand.meta.dtype, operand.lineage

    def is_guilty(meta: TensorMeta) -> bool:
        return meta.dtype == dtype

    places = made(operand, is_guilty, dtype, makers=_MAKERS)
    way = list(lineage.way_back(is_guilty, _MAKERS))
    named = [each for end in way[-1:] for each in lineage.typing(end) if each.step in _NAMING]
    given = [Related(each.site, f"`{short(each.name)}` is {dtype} from here on") for each in named[-1:] if each.site]
    return each_line_once([*places, *given], operand.site)


_NAMING = (Step.ASSIGNED, Step.ARGUMENT, Step.ATTRIBUTE)
