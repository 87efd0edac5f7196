"""Which leaves a backward pass is about to reach, read from autograd's graph before it is used up.

What is kept of it holds no node and no tensor: either would keep a graph alive.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

from tensorcheck.observe.differentiations import is_of_user
from tensorcheck.observe.graphs import graph_node, saved_tensors
from tensorcheck.observe.raw_steps import GraphNode

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


class Blocking(NamedTuple):
    """A node that passes nothing on, or one of a function of the user's own, which may not."""

    node: GraphNode
    function: type | None
    """The user's function, if it is one."""


class Reach(NamedTuple):
    """What some roots lead to."""

    free: frozenset[int]
    """The ids of the leaves that some way leads to on which each node may pass a gradient on."""
    blocked: dict[int, Blocking]
    """The other leaves, by their ids, each with what is in its way."""
    gated: frozenset[int]
    """The ids of those behind a multiplication by the number zero, as a loss has that leaves a part out on purpose."""
    is_whole: bool
    """Whether all of the graph was looked at."""
    has_parameters: bool = False
    """Whether any of the leaves is an `nn.Parameter`."""


def reach_of(roots: Sequence[Tensor]) -> Reach:
    """Walk the graph of some tensors.

    >>> import torch
    >>> scale = torch.nn.Parameter(torch.ones(2))
    >>> reach = reach_of([(scale.round() * 2).sum()])
    >>> [each.node.kind for each in reach.blocked.values()], reach.free
    (['RoundBackward0'], frozenset())
    """
    seen: set[Node] = set()
    edge: list[Node] = []
    free = _leaves([root.grad_fn for root in roots if root.grad_fn is not None], seen, edge)
    blocked: dict[int, Blocking] = {}
    gated: set[int] = set()
    for node in edge:
        behind = _leaves([each for each, _ in node.next_functions if each is not None], seen, None)
        if _is_gate(node):
            gated |= behind
        else:
            function = getattr(node, "_forward_cls", None)
            blocked |= dict.fromkeys(behind - blocked.keys(), Blocking(graph_node(node), function))
    has_parameters = any(isinstance(getattr(node, "variable", None), nn.Parameter) for node in seen)
    return Reach(frozenset(free), blocked, frozenset(gated), len(seen) < _MOST, has_parameters)


def _leaves(starts: Iterable[Node], seen: set[Node], edge: list[Node] | None) -> set[int]:
    """The leaves that are not behind what was seen; nodes that may block are put on the edge, if there is one."""
    found: set[int] = set()
    waiting = [node for node in dict.fromkeys(starts) if node not in seen]
    seen.update(waiting)
    while waiting and len(seen) < _MOST:
        node = waiting.pop()
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            found.add(id(leaf))
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
    return node.name() in _WITHOUT_GRADIENT or _is_gate(node)


def _is_gate(node: Node) -> bool:
    if node.name() != "MulBackward0":
        return False
    return any(each.dim() == 0 and each.device.type == "cpu" and not each.any() for each in saved_tensors(node))
