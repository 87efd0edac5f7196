"""From a backward pass that raised to what stood in its way: its graph, and what of it the running code still holds."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from tensorcheck.calls import Operand
from tensorcheck.differentiation import CustomFunction, Differentiation
from tensorcheck.lineage import Lineage
from tensorcheck.observe.branches import results
from tensorcheck.observe.entering import scope_of, scopes_of
from tensorcheck.observe.frames import Owner, Sites, owner_of, site_of_node
from tensorcheck.observe.freed import used_part
from tensorcheck.observe.graphs import Graph
from tensorcheck.observe.holders import held_tensors
from tensorcheck.observe.operations import Recorder
from tensorcheck.observe.overwriting import overwritten_in
from tensorcheck.observe.stack import StackFrame
from tensorcheck.sites import Site


def differentiation_of(
    frames: Sequence[StackFrame], loss: Operand | None, recorder: Recorder | None, sites: Sites
) -> Differentiation | None:
    """What stood in the way, if a backward pass was running; None too where its graph can't be read."""
    roots = list(_differentiated(frames))
    with suppress(Exception):  # a subclass, or a node of a user's own, may refuse anything
        return _read(roots, frames, loss, recorder, sites) if roots else None
    return None


def _read(
    roots: Sequence[Tensor],
    frames: Sequence[StackFrame],
    loss: Operand | None,
    recorder: Recorder | None,
    sites: Sites,
) -> Differentiation:
    graph = Graph(roots, recorder.nodes_differentiated if recorder is not None else None)
    scopes = scopes_of(frames)
    held = list(held_tensors(scopes))
    lineage = loss.lineage if loss is not None else Lineage()
    at = loss.site if loss is not None else None
    return Differentiation(
        used_part(graph, held, scopes, recorder, sites),
        overwritten_in(graph, held, scopes, lineage=lineage, at=at, recorder=recorder, sites=sites),
        tuple(_custom_functions(graph)),
    )


def _differentiated(frames: Sequence[StackFrame]) -> Iterator[Tensor]:
    """What `backward` or `grad` was called on."""
    for frame in reversed(frames):
        name = {"backward": "tensors", "grad": "outputs"}.get(frame.frame.f_code.co_name)
        if name is not None and frame.frame.f_globals.get("__name__") == torch.autograd.__name__:
            given = frame.local(name)
            parts = given if isinstance(given, tuple | list) else [given]
            yield from (each for each in parts if isinstance(each, Tensor))
            return


def _custom_functions(graph: Graph) -> Iterator[CustomFunction]:
    """The functions of the user's own in a graph, each once."""
    classes = dict.fromkeys(getattr(node, "_forward_cls", None) for node in graph.nodes)
    for cls in classes:
        if is_of_user(cls):
            yield custom_function(cls)


def is_of_user(cls: Any) -> bool:  # noqa: ANN401 - whatever a node says that it is of
    """Whether it is a `torch.autograd.Function` that the user wrote."""
    return isinstance(cls, type) and owner_of(_file_of(cls)) is Owner.USER


def custom_function(cls: Any) -> CustomFunction:  # noqa: ANN401 - a subclass of `torch.autograd.Function`
    """A function of the user's own as plain facts."""
    parameters: Sequence[str] = ()
    with suppress(TypeError, ValueError):
        parameters = list(inspect.signature(cls.forward).parameters)
    has_context = not _is_inherited(cls, "forward") and _is_inherited(cls, "setup_context")
    return CustomFunction(
        cls.__name__,
        gradients=len(parameters) - has_context,
        forward=_place_of(cls, "forward"),
        backward=_place_of(cls, "backward") or _place_of(cls, "vjp"),
    )


def _is_inherited(cls: Any, method: str) -> bool:  # noqa: ANN401 - likewise
    return getattr(cls, method, None) is getattr(torch.autograd.Function, method, None)


def _function_of(cls: Any, method: str) -> FunctionType | None:  # noqa: ANN401 - likewise
    function = None if _is_inherited(cls, method) else inspect.unwrap(getattr(cls, method))
    return function if isinstance(function, FunctionType) else None


def _file_of(cls: Any) -> str:  # noqa: ANN401 - likewise
    function = _function_of(cls, "forward")
    return function.__code__.co_filename if function is not None else "<frozen"


def _place_of(cls: Any, method: str) -> Site | None:  # noqa: ANN401 - likewise
    """What a method of the user's returns last."""
    function = _function_of(cls, method)
    scope = scope_of(function) if function is not None else None
    returned = [node for node, _ in results(scope)] if scope is not None else []
    return site_of_node(returned[-1], scope.filename, scope.function) if returned and scope is not None else None
