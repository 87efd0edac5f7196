"""How the calls of a loop's first steps are read: by optimizer, and from step to step."""

from collections.abc import Iterator, Sequence

from tensorcheck.events.loop import CallKind, LoopCall, LoopFollowed

Round = tuple[LoopCall, ...]
"""What concerned an optimizer since its last step, which is not part of it, up to the next, which is."""


def watched(event: LoopFollowed) -> Iterator[int]:
    """The optimizers that hold parameters of a watched model and are stepped without a closure."""
    for number, optimizer in enumerate(event.optimizers):
        if optimizer.is_watched and not optimizer.takes_closure:
            yield number


def rounds(calls: Sequence[LoopCall], number: int) -> list[Round]:
    """The calls that concern an optimizer, from step to step; those after its last step are left out.

    >>> names = (CallKind.BACKWARD, CallKind.STEP, CallKind.ZEROED, CallKind.BACKWARD, CallKind.STEP)
    >>> [[str(call.kind) for call in each] for each in rounds([LoopCall(name, None, (0,)) for name in names], 0)]
    [['backward', 'step'], ['zero_grad', 'backward', 'step']]
    """
    found: list[Round] = []
    under_way: list[LoopCall] = []
    for call in calls:
        if number in call.optimizers:
            under_way.append(call)
            if call.kind is CallKind.STEP:
                found.append(tuple(under_way))
                under_way = []
    return found


def of_kind(calls: Sequence[LoopCall], kind: CallKind) -> list[LoopCall]:
    """The calls of one kind."""
    return [call for call in calls if call.kind is kind]


def between_steps(calls: Sequence[LoopCall]) -> list[Round]:
    """All calls from one step, of whichever optimizer, to the next, without the steps; what follows the last counts."""
    found: list[list[LoopCall]] = [[]]
    for call in calls:
        if call.kind is CallKind.STEP:
            found.append([])
        else:
            found[-1].append(call)
    return [tuple(each) for each in found if each]


def is_one_site(calls: Sequence[LoopCall]) -> bool:
    """Whether all of these were made by one line that is known."""
    return bool(calls) and calls[0].site is not None and len({call.site for call in calls}) == 1
