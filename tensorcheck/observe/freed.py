"""The part of a graph that an earlier backward has freed, and what in the running code leads there.

Where nothing counted the nodes when that backward returned, the nodes that it freed look like those that the failing
one freed; then the order of the lines has to tell.
"""

import ast
from collections.abc import Iterator, Sequence

from torch import Tensor

from tensorcheck.differentiation import Held, Used
from tensorcheck.observe.carrying import carried_names, running_loops
from tensorcheck.observe.earlier import earlier_uses
from tensorcheck.observe.frames import Sites, site_of_node
from tensorcheck.observe.graphs import AnyNode, Graph, node_fact
from tensorcheck.observe.holders import Found
from tensorcheck.observe.operations import Recorder
from tensorcheck.observe.scopes import Scope, within
from tensorcheck.sites import Site

_MOST = 5


def used_part(
    graph: Graph, held: Sequence[Found], scopes: Sequence[Scope], recorder: Recorder | None, sites: Sites
) -> Used | None:
    """What an earlier backward freed of a graph; None where it freed nothing."""
    edge = graph.edge()
    if not edge:
        return None
    counted = graph.since is not None
    nodes = edge if counted else [node for node in graph.nodes if graph.is_used(node)]
    holding = [each for each in held if any(each.tensor.grad_fn is node for node in nodes)]
    holding = [each for each in holding if counted or _is_older(each) or _was_given(each, scopes)]
    is_whole = _is_whole(graph, edge if counted else [each.tensor.grad_fn for each in holding])
    if is_whole:
        holding = [each for each in held if each.tensor.grad_fn is not None and _is_behind(each.tensor, graph)]
    kinds = {node.name() for node in nodes}
    carried = [name for name, tensor in _carried(held, scopes) if _kind(tensor) in kinds]
    return Used(
        nodes=tuple(node_fact(node, recorder, sites) for node in edge[:_MOST]) if counted else (),
        is_whole=is_whole,
        held=tuple(dict.fromkeys(each.held for each in holding))[:_MOST],
        carried=tuple(dict.fromkeys(carried))[:_MOST],
        earlier=tuple(site for scope in reversed(scopes) for site in _earlier(scope))[-_MOST:],
        elsewhere=tuple(earlier_uses([each.tensor for each in holding], scopes))[:_MOST],
    )


def _is_whole(graph: Graph, used: Sequence[AnyNode]) -> bool:
    return all(any(root is node for node in used) for root in graph.roots)


def _is_behind(tensor: Tensor, graph: Graph) -> bool:
    """Whether the roots of a graph were computed from a tensor."""
    return any(tensor.grad_fn is node for node in graph.nodes) and tensor.grad_fn not in graph.roots


def _kind(tensor: Tensor) -> str:
    return str(tensor.grad_fn.name()) if tensor.grad_fn is not None else ""


def _carried(held: Sequence[Found], scopes: Sequence[Scope]) -> Iterator[tuple[Held, Tensor]]:
    """What loops carry, and what is kept as an attribute from one call to the next."""
    yield from carried_names(scopes)
    yield from ((each.held, each.tensor) for each in held if "." in each.held.name and not each.held.is_parameter)


def _earlier(scope: Scope) -> Iterator[Site]:
    """The calls of `backward` that stand above the place where a function stands now."""
    for node in within(scope.body):
        match node:
            case ast.Call(func=ast.Attribute(attr="backward")) if scope.stands_at and node.lineno < scope.stands_at[0]:
                yield site_of_node(node, scope.filename, scope.function)


def _was_given(found: Found, scopes: Sequence[Scope]) -> bool:
    """Whether a function that was called before, and that calls `backward`, was given it."""
    return any(True for _ in earlier_uses([found.tensor], scopes))


def _is_older(found: Found) -> bool:
    """Whether a variable got its value before an earlier backward ran: one above, or one of an earlier round."""
    site, scope = found.held.site, found.scope
    if site is None or scope.stands_at is None:
        return False
    rounds = [loop.lineno for loop in running_loops(scope)]
    return any(site.line < earlier.line for earlier in _earlier(scope)) or any(site.line < first for first in rounds)
