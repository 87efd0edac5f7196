"""Two optimizers that take turns, of which the one's losses reach the other's parameters needlessly."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorcheck.events.loop import CallKind, LoopCall, LoopFollowed

_TURNS = 2


@dataclass(frozen=True, slots=True)
class Adversaries:
    """The optimizer nearer to the losses, and the one before it whose gradients are thrown away in its turn."""

    downstream: int
    upstream: int
    backward: LoopCall
    step: LoopCall


def adversaries(event: LoopFollowed) -> Iterator[Adversaries]:
    """The pairs whose every backward pass reaches both: in the turn of the downstream one that is in vain."""
    turns = list(_turns(event.calls))
    plain = {number for number, each in enumerate(event.optimizers) if each.is_watched and not each.takes_closure}
    for downstream, upstream in itertools.permutations(sorted(plain), 2):
        own = [turn for turn in turns if turn[1].optimizers[:1] == (downstream,)]
        other = [turn for turn in turns if turn[1].optimizers[:1] == (upstream,)]
        is_both = all(turn[0].optimizers == (downstream, upstream) for turn in (*own, *other))
        is_shared = _share(event, downstream, upstream)
        is_often = min(len(own), len(other)) >= _TURNS
        if is_often and is_both and not is_shared and all(_is_zeroed(event.calls, turn[0], upstream) for turn in own):
            yield Adversaries(downstream, upstream, *own[0])


def _share(event: LoopFollowed, one: int, other: int) -> bool:
    """Whether two optimizers hold a parameter both, so that the gradients of the one are the other's too."""
    return any(number in (one, other) for each in (one, other) for number, _ in event.optimizers[each].shared)


def _turns(calls: Sequence[LoopCall]) -> Iterator[tuple[LoopCall, LoopCall]]:
    """Each backward pass with the step that comes next; those that another backward pass follows are left out."""
    kept = [call for call in calls if call.kind in (CallKind.BACKWARD, CallKind.STEP)]
    for one, after in itertools.pairwise(kept):
        if one.kind is CallKind.BACKWARD and after.kind is CallKind.STEP:
            yield one, after


def _is_zeroed(calls: Sequence[LoopCall], backward: LoopCall, number: int) -> bool:
    """Whether the gradients of an optimizer are zeroed after this and before it steps, as far as that was seen."""
    place = next(place for place, call in enumerate(calls) if call is backward)
    later = [call for call in calls[place:] if number in call.optimizers]
    first = next((call for call in later if call.kind in (CallKind.ZEROED, CallKind.STEP)), None)
    return first is None or first.kind is CallKind.ZEROED
