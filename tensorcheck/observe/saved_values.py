"""What autograd has saved of a graph, and which operation of it first gave, or gives in `backward`, no finite number.

The values are those of the very step: nothing is computed again but single operations whose result nobody saved. What
has hooks, as activation checkpointing has, is not asked for: that would run code of the user's.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tensorcheck.events.numeric import Range
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.values import statistics_of

AnyNode = Any
"""Autograd's own; its classes are not public."""
_MOST = 20_000
"""Nodes that are looked at of one graph."""
_MOST_VALUES = 1 << 24
"""A tensor with more is left alone."""
_Test = Callable[[Mapping[str, Tensor]], Tensor]


class Saved(NamedTuple):
    """A tensor that a node has saved."""

    name: str
    """`self`, `other`, `result`: what the formula of the gradient calls it."""
    tensor: Tensor


def nodes_of(roots: Sequence[Tensor], *, down_to: int = 0) -> list[AnyNode]:
    """The nodes that lead to some tensors, but for leaves, the first that were made last; from a number upwards."""
    seen: set[AnyNode] = set()
    waiting = [root.grad_fn for root in roots if root.grad_fn is not None]
    while waiting and len(seen) < _MOST:
        node = waiting.pop()
        if node in seen or hasattr(node, "variable") or number_of(node) < down_to:
            continue
        seen.add(node)
        waiting += [each for each, _ in node.next_functions if each is not None]
    return sorted(seen, key=number_of, reverse=True)


def number_of(node: AnyNode) -> int:
    """Grows in the order in which nodes are made."""
    number: int = node._sequence_nr()  # noqa: SLF001 - the only name that it has
    return number


def saved_of(node: AnyNode) -> list[Saved]:
    """The real tensors that a node has saved."""
    found: list[Saved] = []
    kind: Any = type(node)
    for name in _names_of(kind):
        found += _unpacked(node, name)
    return found


@functools.cache
def _names_of(kind: Any) -> tuple[str, ...]:  # noqa: ANN401 - a class of autograd's
    """What nodes of a kind may have saved; asking costs more than reading it."""
    return tuple(name for name in dir(kind) if name.startswith("_raw_saved_"))


def _unpacked(node: AnyNode, name: str) -> Iterator[Saved]:
    try:
        raw = getattr(node, name)
        hooks = [getattr(each, "unpack_hook", name) for each in (raw if isinstance(raw, tuple | list) else (raw,))]
        if any(hook is not None for hook in hooks):
            return
        given = getattr(node, "saved_tensors" if name == "_raw_saved_tensors" else name.removeprefix("_raw"))
    except RuntimeError:  # it was freed, or written to since
        return
    for each in given if isinstance(given, tuple | list) else (given,):
        if isinstance(each, Tensor) and _is_readable(each):
            yield Saved(name.removeprefix("_raw_saved_"), each)


def _is_readable(tensor: Tensor) -> bool:
    is_plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout is torch.strided and not tensor.is_nested
    is_number = tensor.is_floating_point() or (tensor.dim() == 0 and tensor.dtype is torch.int64)
    return is_plain and is_number and not tensor.is_meta and 0 < tensor.numel() <= _MOST_VALUES


def is_finite(tensor: Tensor) -> bool:
    """Whether each value is a number below infinity; minus infinity counts as one, for masks are made of it."""
    return not bool((tensor.isnan() | (tensor == torch.inf)).any())


def first_not_finite(nodes: Sequence[AnyNode]) -> AnyNode | None:
    """The first node of a graph, by time, that made a NaN or an infinity out of finite numbers.

    None where a parameter or the data had one already, or where nothing that was saved tells.

    >>> weight = torch.zeros(3, requires_grad=True)
    >>> first_not_finite(nodes_of([(weight.square().log() + 1).sum()])).name()
    'LogBackward0'
    """
    finite: dict[AnyNode, bool] = {}
    for node in nodes:
        for name, tensor in saved_of(node):
            of = tensor.grad_fn or (node if name.startswith("result") else None)
            if of is not None:
                finite[of] = is_finite(tensor)
            elif not is_finite(tensor):
                return None
    spoiled = [node for node in _not_known_as_finite(nodes, finite) if not finite.get(node, True) or _spoils(node)]
    return min(spoiled, key=number_of, default=None)


def _not_known_as_finite(nodes: Sequence[AnyNode], finite: Mapping[AnyNode, bool]) -> Iterator[AnyNode]:
    """The nodes from which a NaN can have come to the end: not those that `where` or a mask has shut out."""
    reached = {nodes[0]} if nodes else set()
    for node in nodes:
        if node in reached and not finite.get(node, False):
            yield node
            reached.update(each for each, _ in node.next_functions if each is not None)


def _spoils(node: AnyNode) -> bool:
    """Whether a node gives what is not finite, computed from what it has saved, where that is enough."""
    test = _RESULTS.get(node.name())
    saved = dict(saved_of(node))
    try:
        return test is not None and not is_finite(test(saved).detach())
    except (KeyError, RuntimeError):
        return False


_RESULTS: dict[str, _Test] = {
    "LogBackward0": lambda saved: -saved["self"].log(),
    "Log2Backward0": lambda saved: -saved["self"].log2(),
    "Log10Backward0": lambda saved: -saved["self"].log10(),
    "Log1PBackward0": lambda saved: -saved["self"].log1p(),
    "DivBackward0": lambda saved: (saved.get("self", torch.ones(())) / saved["other"]).abs(),
    "MulBackward0": lambda saved: (saved["self"] * saved["other"]).abs(),
    "PowBackward1": lambda saved: saved["self"] ** saved["exponent"],
    "MmBackward0": lambda saved: (saved["self"] @ saved["mat2"]).abs(),
    "AddmmBackward0": lambda saved: (saved["mat1"] @ saved["mat2"]).abs(),
    "MseLossBackward0": lambda saved: (saved["self"] - saved["target"]).square().mean(),
    "AcosBackward0": lambda saved: saved["self"].acos(),
    "AsinBackward0": lambda saved: saved["self"].asin(),
}
"""What a node gave, or its absolute or negative value, where it has saved no result."""


def first_singular(nodes: Sequence[AnyNode]) -> AnyNode | None:
    """The first node of a graph, in the order of `backward`, whose gradient is infinite for some of its values.

    >>> first_singular(nodes_of([torch.zeros(2, requires_grad=True).sqrt().sum()])).name()
    'SqrtBackward0'
    """
    return next((node for node in nodes if may_be_singular(node) and _is_singular(node)), None)


def may_be_singular(node: AnyNode) -> bool:
    """Whether a node's gradient is infinite for some values: that of a square and of a quotient by a number is not."""
    if node.name() == "PowBackward0":
        return bool(0 < node._saved_exponent < 1)  # noqa: SLF001 - autograd's only name for it
    if node.name() == "DivBackward0":
        return any(name == "other" and not _may_be_python(tensor) for name, tensor in saved_of(node))
    return node.name() in _SINGULAR


def _may_be_python(tensor: Tensor) -> bool:
    """Whether it may be a number of Python's, which autograd saves as a tensor."""
    return tensor.dim() == 0 and tensor.dtype in (torch.int64, torch.float64) and not tensor.requires_grad


def _is_singular(node: AnyNode) -> bool:
    try:
        return bool(_SINGULAR[node.name()](dict(saved_of(node))).any())
    except (KeyError, RuntimeError):
        return False


_SINGULAR: dict[str, _Test] = {
    "SqrtBackward0": lambda saved: saved["result"] == 0,
    "ReciprocalBackward0": lambda saved: saved["result"].isinf(),
    "ExpBackward0": lambda saved: saved["result"].isinf(),
    "LogBackward0": lambda saved: saved["self"] == 0,
    "Log2Backward0": lambda saved: saved["self"] == 0,
    "Log10Backward0": lambda saved: saved["self"] == 0,
    "Log1PBackward0": lambda saved: saved["self"] == -1,
    "DivBackward0": lambda saved: saved["other"] == 0,
    "PowBackward0": lambda saved: saved["self"] == 0,
    "AcosBackward0": lambda saved: saved["self"].abs() == 1,
    "AsinBackward0": lambda saved: saved["self"].abs() == 1,
}
"""Where the gradient of a function is infinite, by autograd's names."""


def ranges_of(node: AnyNode, given: Sequence[AnyNode]) -> tuple[Range, ...]:
    """What the values were like that a node saved, and what others saved of what it was given."""
    saved = {each.name: each.tensor for each in saved_of(node)}
    before = {each for each, _ in node.next_functions if each is not None}
    if all(name.startswith("result") for name in saved):
        theirs = (each.tensor for other in given for each in saved_of(other) if each.tensor.grad_fn in before)
        saved = dict(zip(("self",), theirs, strict=False)) | saved
    statistics = statistics_of(list(saved.values()))
    return tuple(
        Range(name, tensor_meta(tensor), values)
        for (name, tensor), values in zip(saved.items(), statistics, strict=True)
        if values is not None
    )
