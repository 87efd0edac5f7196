"""Which leaves a backward pass is about to reach, read from autograd's graph before it is used up."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd.function import BackwardCFunction

from tensorcheck.observe.differentiations import is_of_user

_MOST = 20_000
"""Nodes that are looked at of one graph."""
_WITHOUT_GRADIENT = frozenset(
    f"{name}Backward{number}"
    for name in ("Round", "Floor", "Ceil", "Trunc", "Sign", "Sgn", "Bernoulli", "Normal", "Poisson")
    for number in range(4)
)
"""Nodes whose gradient is zero everywhere."""

Node = Any
"""Autograd's own; its classes are not public."""


class Reach(NamedTuple):
    """What some roots lead to."""

    free: dict[int, Tensor]
    """The leaves that some way leads to on which each node may pass a gradient on, by their ids."""
    blocked: dict[int, Node]
    """The other leaves, each with a node that passes nothing on, or a function of the user's own that may not."""
    is_whole: bool
    """Whether all of the graph was looked at."""


def reach_of(roots: Sequence[Tensor]) -> Reach:
    """Walk the graph of some tensors.

    >>> import torch
    >>> scale = torch.nn.Parameter(torch.ones(2))
    >>> reach = reach_of([(scale.round() * 2).sum()])
    >>> [node.name() for node in reach.blocked.values()], reach.free
    (['RoundBackward0'], {})
    """
    seen: set[Node] = set()
    edge: list[Node] = []
    free = _leaves([root.grad_fn for root in roots if root.grad_fn is not None], seen, edge)
    blocked: dict[int, Node] = {}
    for node in edge:
        behind = _leaves([each for each, _ in node.next_functions if each is not None], seen, None)
        blocked |= dict.fromkeys(behind.keys() - blocked.keys(), node)
    return Reach(free, blocked, len(seen) < _MOST)


def _leaves(starts: Iterable[Node], seen: set[Node], edge: list[Node] | None) -> dict[int, Tensor]:
    """The leaves that are not behind what was seen; nodes that may block are put on the edge, if there is one."""
    found: dict[int, Tensor] = {}
    waiting = [node for node in starts if node not in seen]
    seen.update(waiting)
    while waiting and len(seen) < _MOST:
        node = waiting.pop()
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            found[id(leaf)] = leaf
        elif edge is not None and _may_block(node):
            edge.append(node)
        else:
            new = {each for each, _ in node.next_functions if each is not None} - seen
            seen |= new
            waiting += new
    return found


def _may_block(node: Node) -> bool:
    if isinstance(node, BackwardCFunction):
        return is_of_user(getattr(node, "_forward_cls", None))
    return node.name() in _WITHOUT_GRADIENT
