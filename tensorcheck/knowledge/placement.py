"""Which operands of a failed call live on different devices, and which of the two should move."""

import re
from collections.abc import Iterator

from tensorcheck.calls import Operand
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.wording import moved

IS_ABOUT_DEVICES = re.compile(r"device|meta tensor|cuda|weight type|backend|a 1D CPU int64 tensor", re.IGNORECASE)
"""What the messages about devices have in common."""


def are_apart(one: str, other: str) -> bool:
    """Whether two devices differ; one without a number may be any of its type.

    >>> are_apart("cpu", "cuda:0"), are_apart("cuda", "cuda:1"), are_apart("cuda:0", "cuda:1")
    (True, False, True)
    """
    is_numbered = ":" in one and ":" in other
    return one != other if is_numbered else one.partition(":")[0] != other.partition(":")[0]


def guilty_pair(operands: tuple[Operand, ...]) -> tuple[Operand, Operand] | None:
    """The operand that is likelier at the wrong place, and one that it differs from.

    A tensor on meta has no values, so that nothing is meant to stay there; one on the CPU was most often forgotten.
    """
    apart = [
        (one, other)
        for index, one in enumerate(operands)
        for other in operands[index + 1 :]
        if are_apart(one.meta.device, other.meta.device)
    ]
    tensors = [pair for pair in apart if not any(_is_number_on_cpu(operand) for operand in pair)]
    pair = next(iter([*tensors, *apart]), None)
    return None if pair is None else (pair if _rank(pair[0]) < _rank(pair[1]) else (pair[1], pair[0]))


def _is_number_on_cpu(operand: Operand) -> bool:
    """Accelerators take a tensor without dims from the CPU."""
    return operand.meta.device == "cpu" and not operand.meta.shape


def _rank(operand: Operand) -> int:
    return {"meta": 0, "cpu": 1}.get(operand.meta.device, 2)


def movings(operand: Operand, device: str, beside: Operand | None = None) -> Iterator[Fix]:
    """The edit that moves an operand; nothing moves to or from meta, which holds no values.

    >>> from tensorcheck.sites import Site
    >>> from tensorcheck.tensors import TensorMeta
    >>> labels = Operand("target", TensorMeta((8,), "int64", "cpu"), Site("train.py", 4, code="labels"))
    >>> [fix.help for fix in movings(labels, "cuda:0")]
    ['labels.to("cuda:0")']
    """
    if operand.site is None or "meta" in (device, operand.meta.device):
        return
    edit = ChangeOperand(operand.name, "to", (device,))
    if beside is not None and beside.site is not None:
        yield Fix(moved(enclosed(operand.spelled), device, beside.spelled), (edit,))
    else:
        yield Fix(f'{enclosed(operand.spelled)}.to("{device}")', (edit,))
