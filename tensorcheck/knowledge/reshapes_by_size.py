"""What a reshape says by its sizes alone: that two dims were to be swapped, and were only renamed."""

from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Swap:
    """The order in which the dims of a tensor should be taken to come to the sizes that a reshape made."""

    order: tuple[int, ...]
    """For `permute`."""
    then: str
    """What is left to do: empty, `flatten(2)` to merge, `unflatten` before to split."""


_LEAST = 3
_HEADS = 4


def swapped(before: Shape, after: Shape) -> Swap | None:
    """How a tensor of some sizes would have to be permuted to get those that a reshape gave it; None if it need not.

    >>> swapped((8, 16, 32), (8, 32, 16)).order
    (0, 2, 1)
    >>> swapped((8, 28, 28, 3), (8, 3, 28, 28)).order
    (0, 3, 1, 2)
    >>> swapped((8, 4, 16, 32), (8, 16, 128)).order
    (0, 2, 1, 3)
    >>> swapped((8, 16, 32), (8, 512)), swapped((8, 16, 32), (8, 16, 32)), swapped((8, 16, 1), (8, 1, 16))
    (None, None, None)
    """
    return _renamed(before, after) or _merged(before, after) or _split(before, after)


def _renamed(before: Shape, after: Shape) -> Swap | None:
    """The same sizes in another order."""
    if len(before) != len(after) or len(before) < _LEAST or sorted(before) != sorted(after):
        return None
    if [size for size in before if size > 1] == [size for size in after if size > 1]:
        return None
    free = list(range(len(before)))
    order = []
    for size in after:
        place = next(index for index in free if before[index] == size)
        free.remove(place)
        order.append(place)
    return Swap(tuple(order), "")


def _merged(before: Shape, after: Shape) -> Swap | None:
    """Heads that were merged in front of the time: `[batch, heads, time, width]` to `[batch, time, heads * width]`."""
    if len(before) != _HEADS or len(after) != _LEAST or before[0] != after[0]:
        return None
    _, heads, time, width = before
    is_merged = after[1:] == (time, heads * width) and heads != time and min(heads, time, width) > 1
    return Swap((0, 2, 1, 3), "flatten(2)") if is_merged else None


def _split(before: Shape, after: Shape) -> Swap | None:
    """A width that was split into heads in front of the time: `[batch, time, width]` to `[batch, heads, time, w]`."""
    if len(before) != _LEAST or len(after) != _HEADS or before[0] != after[0]:
        return None
    _, time, width = before
    heads = after[1]
    is_split = after[2] == time and heads * after[3] == width and heads != time and min(heads, time, after[3]) > 1
    return Swap((0, 2, 1, 3), f"unflatten(2, ({heads}, {after[3]}))") if is_split else None
