"""Which operands of a failed call live on different devices, and which of the two should move."""

import re
from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.findings import Related
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.knowledge.reshaping import enclosed
from tensorcheck.lineage import Ancestor, Lineage, Step
from tensorcheck.lineage_wording import MAKERS, device_was_set, made
from tensorcheck.tensors import TensorMeta
from tensorcheck.wording import each_line_once, moved, short

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


def device_places(operand: Operand, call: FailedCall | None = None) -> tuple[Related, ...]:
    """Where an operand came to its device: the statements that it went through, and what named the device there.

    >>> device_places(Operand("input", TensorMeta((8,), "float32", "meta")))
    ()
    """
    device, lineage = operand.meta.device, operand.lineage

    def is_guilty(meta: TensorMeta) -> bool:
        return meta.device == device

    way = list(lineage.way_back(is_guilty, MAKERS))
    end = next((each for each in way if device_was_set(each) or _names_device(each, lineage)), way[-1] if way else None)
    places = made(operand, is_guilty, f"on {device}", ends=lambda each: each is end)
    named = list(_named(end, lineage, device, call)) if end is not None else []
    return each_line_once([*places, *named], operand.site)


def _names_device(ancestor: Ancestor, lineage: Lineage) -> bool:
    return any(lineage.placing(ancestor))


def _named(end: Ancestor, lineage: Lineage, device: str, call: FailedCall | None) -> Iterator[Related]:
    """The expression, the block or the default that says on which device the earliest known ancestor was made."""
    naming = [each for each in lineage.placing(end) if each.step in _NAMING and each.site is not None]
    defaults = [cause for cause in call.causes if cause.kind == "default"] if call is not None else []
    if naming:
        told = [each for each in naming if isinstance(each.value, str)]
        yield from _device_from_here((told or naming[:1])[-1], "" if told else "likely: ", device)
    elif end.device_set is not None and f'"{device}"' in end.device_set.code.replace("'", '"'):
        yield Related(end.device_set, f"what is made in this block is on {device}")
    elif not _names_device(end, lineage) and end.device_set is None:
        same = (cause for cause in defaults if not are_apart(cause.value, device))
        yield from (Related(cause.site, f"the default device is {cause.value} from here on") for cause in same)


def _device_from_here(naming: Ancestor, doubt: str, device: str) -> Iterator[Related]:
    is_other = isinstance(naming.value, str) and are_apart(naming.value, device)
    if naming.site is not None and not is_other:
        yield Related(naming.site, f"{doubt}`{short(naming.name)}` is {device} from here on")


_NAMING = (Step.ASSIGNED, Step.ARGUMENT, Step.ATTRIBUTE)
