"""Whether a model's answer for one sample depends on another one in the batch.

A few samples of a batch are put to a copy in evaluation mode, then again with one of them replaced: the first and, in a
third call, the last, for a recurrent network that takes the batch for time passes on from the first to the last alone.
Of a healthy network the answers for the others are the same to the bit. The gradient of a sum would not tell: after a
layer normalisation it is zero whatever happened before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tensorcheck.events.experiment import Culprit, SamplesMixed
from tensorcheck.experiment.asking import Asked, NoAnswerError, Why, same
from tensorcheck.experiment.capturing_calls import CapturedCall, Occasion
from tensorcheck.experiment.following import meeting
from tensorcheck.experiment.layouts import Layout, differences, layouts
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.describe import module_meta, tensor_meta
from tensorcheck.observe.frames import Sites
from tensorcheck.tensors import TensorMeta

NAME = "batch-independence"
"""What a report's coverage calls it."""
_LEAST = 2


@dataclass(frozen=True, slots=True)
class _Mixed:
    """A sample that was replaced, and those whose answer changed by that."""

    replaced: int
    changed: tuple[int, ...]


def samples_mixed(model: nn.Module, call: CapturedCall, occasion: Occasion, sites: Sites) -> SamplesMixed | None:
    """The answer where samples are mixed; a `NoAnswerError` where the question can't be put."""
    if call.batch < _LEAST:
        raise NoAnswerError(Why.SINGLE)
    if not call.has_batch_first:
        raise NoAnswerError(Why.NOT_FIRST_IN)
    asked = Asked(model)
    before = asked.outputs(call.asked())
    if not any(_is_sampled(output, call) for output in before):
        raise NoAnswerError(Why.NOT_FIRST_OUT)
    mixed = _mixed(asked, call, before)
    if mixed is None:
        return None
    if not _is_repeatable(asked, call, before):
        raise NoAnswerError(Why.RANDOM)
    return SamplesMixed(
        step=occasion.step,
        model=ModuleMeta("", type(model).__name__, settings=module_meta(model, "").settings),
        batch=call.batch,
        asked=call.rows,
        replaced=mixed.replaced,
        changed=mixed.changed,
        inputs=tuple(_whole(tensor_meta(tensor), call) for tensor in call.tensors),
        outputs=occasion.outputs,
        culprit=_culprit(asked, model, call, mixed, sites),
        site=occasion.site,
    )


def _whole(meta: TensorMeta, call: CapturedCall) -> TensorMeta:
    return TensorMeta((call.batch, *meta.shape[1:]), meta.dtype, meta.device)


def _mixed(asked: Asked, call: CapturedCall, before: Sequence[Tensor]) -> _Mixed | None:
    """The replaced sample by which more of the others changed."""
    found = []
    for replaced in (0, call.rows - 1):
        after = asked.outputs(call.asked(replaced))
        if not same(before, after):
            raise NoAnswerError(Why.SHAPE)
        changed = {row for pair in zip(before, after, strict=True) for row in _changed_rows(*pair, call)}
        if replaced in changed and changed != {replaced}:
            found.append(_Mixed(replaced, tuple(sorted(changed - {replaced}))))
    return max(found, key=lambda each: len(each.changed), default=None)


def _changed_rows(one: Tensor, other: Tensor, call: CapturedCall) -> list[int]:
    changed = differences(one, other)
    if changed is None or not _is_sampled(one, call):
        return []
    rows: list[int] = changed.flatten(1).any(1).nonzero().flatten().tolist() if one.dim() > 1 else _places(changed)
    return rows


def _places(changed: Tensor) -> list[int]:
    places: list[int] = changed.nonzero().flatten().tolist()
    return places


def _is_sampled(output: Tensor, call: CapturedCall) -> bool:
    """Whether it has a row for each sample, and is no table of all pairs of them."""
    shape = tuple(output.shape)
    return bool(shape) and shape[0] == call.rows and shape != (call.rows, call.rows)


def _is_repeatable(asked: Asked, call: CapturedCall, before: Sequence[Tensor]) -> bool:
    again = asked.outputs(call.asked())
    return same(before, again) and all(torch.equal(*map(_comparable, pair)) for pair in zip(before, again, strict=True))


def _comparable(tensor: Tensor) -> Tensor:
    return tensor.nan_to_num() if tensor.is_floating_point() else tensor


def _culprit(asked: Asked, model: nn.Module, call: CapturedCall, mixed: _Mixed, sites: Sites) -> Culprit | None:
    def judge(changed: Tensor) -> tuple[Layout, ...]:
        return layouts(changed, call.rows, mixed.replaced)

    return meeting(asked, model, (call.asked(), call.asked(mixed.replaced)), judge, sites)
