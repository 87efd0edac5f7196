"""How far the graph of a loss reaches: which leaves, and whether back to an earlier backward pass."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_MOST = 3000
"""Nodes that are looked at of a graph, in the first steps alone; of a larger one nothing is said."""


@dataclass(frozen=True, slots=True)
class GraphReach:
    """What a graph leads to."""

    leaves: tuple[int, ...]
    """The ids of the tensors that gradients will be added to, nearest to the root first."""
    oldest: int | None
    """The smallest number of its nodes: autograd numbers them as it makes them, in each thread."""
    newest: int
    """The number of its root."""


def reach_of(root: object) -> GraphReach | None:
    """How far the graph of a tensor reaches; None where there is none or it is too large.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> reach = reach_of((weight * 2).sum())
    >>> reach.leaves == (id(weight),), reach.oldest < reach.newest
    (True, True)
    """
    if not isinstance(root, Tensor):
        return None
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us read a graph
        first = root.grad_fn
    if first is None:
        return None
    nodes = _nodes(first)
    if nodes is None:
        return None
    leaves = tuple(id(node.variable) for node in nodes if hasattr(node, "variable"))
    numbers = [node._sequence_nr() for node in nodes if not hasattr(node, "variable")]  # noqa: SLF001 - no public name
    return GraphReach(leaves, min(numbers, default=None), numbers[0] if numbers else -1)


def _nodes(first: Any) -> list[Any] | None:  # noqa: ANN401 - autograd's own; its classes are not public
    """All nodes, in the order of their distance; None where there are too many."""
    nodes, seen = [first], {first}
    for node in nodes:
        for each, _ in node.next_functions:
            if each is not None and each not in seen:
                seen.add(each)
                nodes.append(each)
        if len(nodes) > _MOST:
            return None
    return nodes
