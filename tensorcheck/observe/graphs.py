"""Autograd's graph of a tensor, read after a crash without changing it.

A saved tensor is asked for only where that runs no code: one with hooks, as activation checkpointing has, would be
computed once more.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from tensorcheck.differentiation import Node
from tensorcheck.observe.frames import Owner, Sites, owner_of, site_of_line
from tensorcheck.observe.operations import Recorder
from tensorcheck.observe.raw_steps import GraphNode
from tensorcheck.sites import Site

_MOST = 20_000
"""Nodes that are read of a graph."""
_OF_FORWARD = re.compile(r'^  File "(.+?)", line (\d+), in (.+)$', re.MULTILINE)
_OF_VERSION = re.compile(r"modified by an inplace operation.+expected version (\d+)", re.DOTALL)

AnyNode = Any
"""Autograd's own; its classes are not public."""


class Graph:
    """The nodes that lead to some tensors, the last that were made first.

    A backward that raises has freed the nodes that it came through before. So what was freed by an earlier one is known
    only of nodes that were there when that ended: of those with a number below `since`; None where that is not known.
    """

    def __init__(self, roots: Sequence[Tensor], since: int | None = None) -> None:
        self.since = since
        self.roots = [root.grad_fn for root in roots if root.grad_fn is not None]
        self.nodes = list(_reached(self.roots))
        self._used: dict[AnyNode, bool | None] = {}

    def is_used(self, node: AnyNode) -> bool:
        """Whether an earlier backward has freed this node, or all that it leads to where it saved nothing itself."""
        waiting = [node]
        while waiting:
            last = waiting[-1]
            before = [] if _saves(last) else [each for each, _ in last.next_functions if each is not None]
            unknown = [each for each in before if each not in self._used and last not in self._used]
            if not unknown:
                waiting.pop()
                self._used.setdefault(last, self._is_freed(last) if _saves(last) else self._all_used(before))
            waiting += unknown
        return self._used[node] is True

    def _is_freed(self, node: AnyNode) -> bool:
        return self._is_old(node) and is_freed(node)

    def _is_old(self, node: AnyNode) -> bool:
        return self.since is None or graph_node(node).number < self.since

    def _all_used(self, nodes: Sequence[AnyNode]) -> bool | None:
        """None where nothing was saved on the whole way to the leaves, so that nothing can have been freed."""
        known = [self._used[node] for node in nodes if self._used[node] is not None]
        return all(known) if known else None

    def edge(self) -> list[AnyNode]:
        """The used nodes that come first on the way from the roots."""
        return list(_reached(self.roots, lambda node: self._is_old(node) and self.is_used(node), found_only=True))


def _reached(roots: Sequence[AnyNode], ends: Any = None, *, found_only: bool = False) -> Iterator[AnyNode]:  # noqa: ANN401
    """All nodes, each once; beyond one at which the way `ends` nothing is looked at."""
    seen, waiting = set(roots), list(roots)
    for place in range(_MOST):
        if place >= len(waiting):
            return
        node = waiting[place]
        is_end = ends is not None and ends(node)
        if is_end or not found_only:
            yield node
        new = [each for each, _ in node.next_functions if each is not None and each not in seen and not is_end]
        seen.update(new)
        waiting += dict.fromkeys(new)


def _saved(node: AnyNode) -> Iterator[tuple[str, Any]]:
    """What a node has saved, by the name under which it is asked for."""
    for name in dir(node):
        if name.startswith("_raw_saved_"):
            try:
                raw = getattr(node, name)
            except RuntimeError:
                continue
            for each in raw if isinstance(raw, tuple | list) else (raw,):
                yield name.removeprefix("_raw"), each


def _saves(node: AnyNode) -> bool:
    return any(name.startswith("_raw_saved_") for name in dir(node))


def is_freed(node: AnyNode) -> bool:
    """Whether a backward went through a node and freed what it had saved."""
    return "a second time" in _refusal(node)


def version_wanted(node: AnyNode) -> int | None:
    """Of a node that saved a tensor which was changed in place later, the version that it saved."""
    told = _OF_VERSION.search(_refusal(node))
    return int(told[1]) if told is not None else None


def _refusal(node: AnyNode) -> str:
    """What autograd says when the node's saved tensors are asked for; empty where it gives them."""
    names = dict.fromkeys(name for name, raw in _saved(node) if getattr(raw, "unpack_hook", None) is None)
    for name in names:
        try:
            getattr(node, "saved_tensors" if name == "_saved_tensors" else name)
        except RuntimeError as refusal:
            return str(refusal)
    return ""


def saved_tensors(node: AnyNode) -> list[Tensor]:
    """The tensors that a node saved, as they are now."""
    datas = [getattr(raw, "data", None) for _, raw in _saved(node) if getattr(raw, "unpack_hook", None) is None]
    return [data for data in datas if isinstance(data, Tensor)]


def node_fact(node: AnyNode, recorder: Recorder | None, sites: Sites) -> Node:
    """A node as plain facts."""
    made = recorder.maker_of(graph_node(node), sites) if recorder is not None else None
    if made is not None:
        return Node(node.name(), made.site, made.module, made.kind)
    return Node(node.name(), _told(node))


def graph_node(node: AnyNode) -> GraphNode:
    """A node as the trace knows it."""
    return GraphNode(node.name(), node._sequence_nr())  # noqa: SLF001 - the only name that it has


def _told(node: AnyNode) -> Site | None:
    """The user's line of the forward pass that anomaly detection keeps beside a node."""
    lines = "".join(node.metadata.get("traceback_", ()))
    own = [place for place in _OF_FORWARD.findall(lines) if owner_of(place[0]) is Owner.USER]
    return site_of_line(own[-1][0], int(own[-1][1]), own[-1][2]) if own else None
