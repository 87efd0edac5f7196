"""Whether a model that predicts the next token knows the tokens that it is to predict.

Its targets are its input, one token further: that is what makes the question one. A copy is asked twice, the second
time with other tokens in the second half; what it answers in the first half must stay the same.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tensorcheck.events.experiment import Culprit, LookedAhead
from tensorcheck.experiment.asking import Asked, Given, NoAnswerError, Why, same
from tensorcheck.experiment.capturing_calls import CapturedCall, Occasion
from tensorcheck.experiment.following import meeting
from tensorcheck.experiment.layouts import Layout, differences
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.frames import Sites

NAME = "causality"
"""What a report's coverage calls it."""
_RANK = 2
_LEAST = 4
"""Tokens of a sequence that is asked about."""
_LOGITS = 3
"""Dims of what is answered for each token of each sequence."""


def tokens_asked(call: CapturedCall, targets: Tensor) -> int | None:
    """Which leaf of what the model was called with holds the tokens that the targets are one further of."""
    for place, leaf in enumerate(call.leaves):
        is_table = isinstance(leaf, Tensor) and leaf.dim() == _RANK and leaf.size(1) >= _LEAST and _is_whole(leaf)
        if is_table and _is_shifted(call.rows_of_leaf(place), targets, call.batch):
            return place
    return None


def _is_whole(leaf: Tensor) -> bool:
    return not leaf.is_floating_point() and not leaf.is_complex() and leaf.dtype is not torch.bool


def _is_shifted(tokens: Tensor, targets: Tensor, batch: int) -> bool:
    """Whether the targets of these sequences are their tokens, one further, and not the tokens themselves."""
    rows, length = tokens.shape
    if _is_whole(targets) is False or not batch or targets.numel() not in (batch * length, batch * (length - 1)):
        return False
    if targets.dim() == _RANK and targets.size(0) != batch:
        return False
    wanted = targets.reshape(batch, -1)[:rows].to(tokens.device)
    further = wanted[:, : length - 1]
    counted = further >= 0
    is_further = bool(((further == tokens[:, 1:]) | ~counted).all()) and bool(counted.any())
    return is_further and not bool(((further == tokens[:, :-1]) | ~counted).all())


def looked_ahead(
    model: nn.Module, call: CapturedCall, place: int, occasion: Occasion, sites: Sites
) -> LookedAhead | None:
    """The answer where the model knows what is to come; a `NoAnswerError` where the question can't be put."""
    asked = Asked(model)
    tokens = call.rows_of_leaf(place)
    since = tokens.size(1) // 2
    others = tokens.clone()
    others[:, since:] = tokens[:, :since].roll(1, 1).repeat(1, 2)[:, : tokens.size(1) - since]
    given = call.with_leaf(place, tokens), call.with_leaf(place, others)
    before, after = (asked.outputs(each) for each in given)
    if not same(before, after):
        raise NoAnswerError(Why.SHAPE)
    index = _answer(before, tokens)
    if index is None:
        raise NoAnswerError(Why.NO_TOKENS)
    changed = _positions(before[index], after[index], since)
    if not changed:
        return None
    if not torch.equal(asked.outputs(given[0])[index], before[index]):
        raise NoAnswerError(Why.RANDOM)
    return LookedAhead(
        step=occasion.step,
        model=ModuleMeta("", type(model).__name__),
        length=tokens.size(1),
        since=since,
        changed=changed,
        output=tensor_meta(before[index]),
        culprit=_culprit(asked, model, given, (tokens.size(1), since), sites),
        site=occasion.site,
    )


def _answer(outputs: Sequence[Tensor], tokens: Tensor) -> int | None:
    """The first output with a row for each token of each sequence."""
    for index, output in enumerate(outputs):
        if output.dim() == _LOGITS and output.shape[:2] == tokens.shape and output.is_floating_point():
            return index
    return None


def _positions(before: Tensor, after: Tensor, since: int) -> tuple[int, ...]:
    changed = differences(before, after)
    if changed is None:
        return ()
    places = changed[:, :since].any(2).any(0).nonzero().flatten().tolist()
    return tuple(places)


def _culprit(
    asked: Asked, model: nn.Module, given: tuple[Given, Given], size: tuple[int, int], sites: Sites
) -> Culprit | None:
    return meeting(asked, model, given, lambda changed: later(changed, *size), sites)


def later(changed: Tensor, length: int, since: int) -> tuple[Layout, ...]:
    """The ways in which the elements that changed can be those of later tokens, or of pairs with one.

    >>> later(torch.tensor([False, False, True, True]), 4, 2)
    (Layout(dim=0, run=1, is_alone=True),)
    >>> later(torch.tensor([False, True, False, True]), 4, 2)
    ()
    """
    found = [
        Layout(dim, run, size == length)
        for dim, size in enumerate(changed.shape)
        for run in range(1, size // length + 1)
        if size % (run * length) == 0 and _is_later(changed, dim, (run, length, since))
    ]
    alike = [dim for dim, size in enumerate(changed.shape) if size == length]
    if not found and len(alike) > 1:
        one, other = alike[-2:]
        if not bool(changed.narrow(one, 0, since).narrow(other, 0, since).any()):
            return (Layout(one, 1, is_alone=True),)
    return tuple(found)


def _is_later(changed: Tensor, dim: int, size: tuple[int, int, int]) -> bool:
    run, length, since = size
    flat = changed.movedim(dim, 0).reshape(changed.size(dim), -1).any(1).nonzero().flatten()
    return bool(((flat // run) % length >= since).all())
