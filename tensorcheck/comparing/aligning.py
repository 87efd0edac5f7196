"""Two sequences side by side, with as few left over as can be: something inserted does not shift what follows.

The way is the shortest edit script (Myers, "An O(ND) difference algorithm and its variations", 1986), and not that of
`difflib`, which looks for the longest run first: of steps that repeat the same operations hundreds of times, as those
of a recurrent network do, that takes minutes, and it may find a run at another repetition.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
Pair = tuple[int | None, int | None]
"""Places in the left and in the right sequence; None where the other one has nothing to match."""

_MOST_EDITS = 2000
"""Where there are more, what lies between the equal ends is not matched: these are two different things."""


def align(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[Pair]:
    """Equal elements as pairs, in order, and between them what is only in one; the left one's first.

    >>> align("abcd", "abxcd")
    [(0, 0), (1, 1), (None, 2), (2, 3), (3, 4)]
    """
    start = _common(left, right)
    end = _common(left[start:][::-1], right[start:][::-1])
    inner = _edited(left[start : len(left) - end], right[start : len(right) - end])
    return [
        *((place, place) for place in range(start)),
        *((_moved(one, start), _moved(other, start)) for one, other in inner),
        *((len(left) - place, len(right) - place) for place in range(end, 0, -1)),
    ]


def align_by(left: Sequence[T], right: Sequence[T], *keys: Callable[[T], Hashable]) -> list[Pair]:
    """The same by the first key; what is left over between two pairs by the second key, and so on.

    >>> align_by(["a1", "b1", "c1"], ["a1", "b2", "c1"], str, lambda name: name[0])
    [(0, 0), (1, 1), (2, 2)]
    """
    first, *rest = keys
    pairs = align([first(each) for each in left], [first(each) for each in right])
    if not rest:
        return pairs
    found: list[Pair] = []
    for gap, pair in _gaps(pairs):
        ours, theirs = [one for one, _ in gap if one is not None], [two for _, two in gap if two is not None]
        inner = align_by([left[place] for place in ours], [right[place] for place in theirs], *rest)
        found += [(None if i is None else ours[i], None if j is None else theirs[j]) for i, j in inner]
        found += pair
    return found


def _gaps(pairs: Sequence[Pair]) -> Iterator[tuple[list[Pair], list[Pair]]]:
    """What is left over before each pair, with the pair; at the end without one."""
    gap: list[Pair] = []
    for pair in pairs:
        if None in pair:
            gap.append(pair)
        else:
            yield gap, [pair]
            gap = []
    yield gap, []


def _moved(place: int | None, by: int) -> int | None:
    return None if place is None else place + by


def _common(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """How many elements at the start are equal."""
    return next(
        (at for at, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), _shorter(left, right)
    )


def _shorter(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    return min(len(left), len(right))


def _edited(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[Pair]:
    history = _furthest(left, right)
    if history is None:
        return [*((place, None) for place in range(len(left))), *((None, place) for place in range(len(right)))]
    return list(_walked_back(history, len(left), len(right)))[::-1]


def _furthest(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[dict[int, int]] | None:
    """For each number of edits, how far in the left one each diagonal was reached before; None if it takes too many."""
    reached = {1: 0}
    history = []
    for edits in range(min(len(left) + len(right), _MOST_EDITS) + 1):
        history.append(dict(reached))
        for diagonal in range(-edits, edits + 1, 2):
            x = _entered(reached, diagonal, edits)
            while x < len(left) and 0 <= x - diagonal < len(right) and left[x] == right[x - diagonal]:
                x += 1
            reached[diagonal] = x
            if x >= len(left) and x - diagonal >= len(right):
                return history
    return None


def _entered(reached: dict[int, int], diagonal: int, edits: int) -> int:
    """Where a diagonal is entered: from the one above, with something of the right, or from the other side."""
    if _comes_from_right(reached, diagonal, edits):
        return reached[diagonal + 1]
    return reached[diagonal - 1] + 1


def _comes_from_right(reached: dict[int, int], diagonal: int, edits: int) -> bool:
    return diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])


def _walked_back(history: Sequence[dict[int, int]], x: int, y: int) -> Iterator[Pair]:
    """The pairs from the last to the first."""
    for edits in range(len(history) - 1, -1, -1):
        reached, diagonal = history[edits], x - y
        from_right = _comes_from_right(reached, diagonal, edits)
        before = reached[diagonal + 1] if from_right else reached[diagonal - 1]
        begun = before if from_right else before + 1
        while x > begun:
            x, y = x - 1, y - 1
            yield x, y
        if edits == 0:
            return
        if from_right:
            y -= 1
            yield None, y
        else:
            x -= 1
            yield x, None
