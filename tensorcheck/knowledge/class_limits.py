"""Which labels a failed call was given, and for how many classes, told from its operands and PyTorch's message."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.fixes import ChangeOperand, ChangeSetting, Fix
from tensorcheck.knowledge.reshaping import enclosed

_SUPPORT = re.compile(r"IntegerInterval\(lower_bound=(-?\d+), upper_bound=(-?\d+)\)")
_TARGET = re.compile(r"Target (-?\d+) is out of bounds")
_MARKS = (255, 65535)
"""What stands for no label at all in masks, beside negative numbers: the greatest number of their dtype."""
_MODULES = {"cross_entropy": "CrossEntropyLoss", "nll_loss": "NLLLoss"}
"""The losses that can leave a label out, and their modules."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a failed call of which one names no class.

    >>> from tensorcheck.tensors import TensorMeta
    >>> operand = Operand("target", TensorMeta((3,), "int64", "cpu"), low=1, high=3)
    >>> Labels(operand, 3, wrong=3, low=1, high=3).counts_from_one
    True
    """

    operand: Operand
    count: int | None
    """How many classes there are; None where any number will do, as long as they are counted from 0."""
    wrong: int
    """The label that names none."""
    low: int
    high: int
    scores: Operand | None = None
    """What has a number for each class."""

    @property
    def counts_from_one(self) -> bool:
        """Whether the labels would fit if they were counted from 0."""
        return self.low >= 1 and self.high == self.count and self.count > 1

    @property
    def is_mark(self) -> bool:
        """Whether the wrong label looks like a word for none at all."""
        return self.wrong < 0 or self.wrong in _MARKS


def labels_of(call: FailedCall, message: str) -> Labels | None:
    """The labels, if one of them is outside; None where none is, or where their values are not known."""
    operand, count, scores = _parts(call, message)
    if operand is None or operand.low is None or operand.high is None:
        return None
    told = _TARGET.search(message)
    is_high = count is not None and operand.high >= count
    wrong = int(told[1]) if told is not None else operand.high if is_high else operand.low
    if wrong >= 0 and not is_high:
        return None
    return Labels(operand, count, wrong, operand.low, operand.high, scores)


def _parts(call: FailedCall, message: str) -> tuple[Operand | None, int | None, Operand | None]:
    scores, target = call.operand("input"), call.operand("target") or call.operand("target_")
    whole = [operand for operand in call.operands if operand.low is not None]
    support = _SUPPORT.search(message)
    if support is not None:
        return (whole[-1] if whole else None), int(support[2]) + 1, None
    if call.kind == "loss":
        shape = scores.meta.shape if scores is not None else ()
        return target, shape[1] if len(shape) > 1 else next(iter(shape), None), scores
    count = call.module.settings.get("n_classes") if call.module is not None else _asked(call)
    return target or next(iter(whole), None), count if isinstance(count, int) else None, None


def _asked(call: FailedCall) -> object:
    """The number of classes that `one_hot` was given; -1 is its word for any."""
    number = call.setting("num_classes") or call.setting("1")
    return number.value if call.function == "one_hot" and number is not None and number.value != -1 else None


def label_fixes(call: FailedCall, labels: Labels, code: str, *, is_module: bool) -> Iterator[Fix]:
    """Labels counted from 0, or what marks no label left out; `code` is the user's call, of the loss or its module."""
    operand = labels.operand
    if labels.counts_from_one and operand.site is not None:
        yield Fix(f"{enclosed(operand.spelled)} - 1", (ChangeOperand(operand.name, "sub", (1,)),))
    if labels.is_mark and call.function in _MODULES:
        keyword = f"ignore_index={labels.wrong}"
        written = f"nn.{_MODULES[call.function]}({keyword})" if is_module else f"{code.removesuffix(')')}, {keyword})"
        yield Fix(written, (ChangeSetting("ignore_index", labels.wrong),))


def label_note(call: FailedCall, labels: Labels) -> str:
    """How people usually come to such a label; empty where the numbers tell nothing.

    >>> from tensorcheck.tensors import TensorMeta
    >>> labels = Labels(Operand("target", TensorMeta((3,), "int64", "cpu"), low=1, high=3), 3, wrong=3, low=1, high=3)
    >>> label_note(FailedCall("cross_entropy", "loss"), labels)
    'likely: the labels are counted from 1'
    """
    if labels.count == 1:
        return "likely: one output for two classes, as `nn.BCEWithLogitsLoss` takes it"
    if labels.counts_from_one:
        return "likely: the labels are counted from 1"
    left_out = f"; `ignore_index={labels.wrong}` leaves it out" if call.function in _MODULES else ""
    return f"likely: {labels.wrong} marks what has no label{left_out}" if labels.is_mark else ""
