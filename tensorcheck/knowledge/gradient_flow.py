"""Where the gradient of a parameter was lost, read from the operations of a step.

Each value of a trace was made from some parameters. As long as all operations on the way pass a gradient on, the way is
open; the first that is given a tensor with a gradient and gives one without has cut it, and what is made from that
still depends on the parameter's numbers. So a parameter without a gradient whose numbers did go into the loss lost it
at a known operation; metrics that are computed beside the loss are none of its ancestors and say nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tensorcheck.events.gradients import CutKind, GradientCut
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Operation, Trace

_LEAVING = frozenset(["detach", "detach_", "data", "tensor", "as_tensor", "asarray", "new_tensor", "from_numpy"])
_TAKING_NO_NUMBERS = ("_like", "new_empty", "new_full", "new_ones", "new_zeros")
"""How functions end or begin that are given a tensor for its size and device alone."""
_SAMPLING = frozenset({"bernoulli", "multinomial", "poisson", "sample"})

_Cut = tuple[CutKind, Operation, TensorMeta | None]


class GradientFlow:
    """Follows the numbers of some parameters through a step, and through the step before where it uses values of that.

    >>> GradientFlow(Trace(0), {}).cuts((), ())
    ()
    """

    def __init__(self, trace: Trace, parameters: Mapping[int, str], before: "GradientFlow | None" = None) -> None:
        self._trace = trace
        self._parameters = parameters
        """Those that are followed: the places of their values, and their dotted paths."""
        self._open: dict[int, frozenset[str]] = {}
        """Of each value, the parameters from which a gradient could still reach it."""
        self._cut: dict[int, dict[str, _Cut]] = {}
        """Of each value, those from which one could not, each with the operation that cut it off."""
        self._start(before)
        for operation in trace.operations:
            self._follow(operation)

    def cuts(self, losses: Sequence[int], lines: Collection[tuple[str, int]]) -> tuple[GradientCut, ...]:
        """Where those lost their gradient whose numbers went into these values, one cut for each operation.

        `lines` are the places in the source that the losses' expressions lead back to: a number that left PyTorch there
        went into the loss too.
        """
        found: dict[str, _Cut] = {}
        for loss in losses:
            found |= {name: cut for name, cut in self._cut.get(loss, {}).items() if name not in found}
        reached = frozenset().union(*(self._open.get(loss, frozenset()) for loss in losses))
        for reading in self._trace.readings if lines else ():
            operation = reading.operation
            if operation.site is not None and (operation.site.file, operation.site.line) in lines:
                found |= {name: cut for name, cut in self._read(operation) if name not in found}
        return tuple(_grouped((name, cut) for name, cut in found.items() if name not in reached))

    def may_have_made(self, losses: Sequence[int]) -> bool:
        """Whether numbers of theirs went into these values, or were handed to Python, from where they may have."""
        read = (place for reading in self._trace.readings for place in reading.operation.inputs)
        return any(self._open.get(place) or self._cut.get(place) for place in (*losses, *read))

    def used(self) -> dict[str, Operation]:
        """The parameters that something was computed with, each with the first operation that did so."""
        first: dict[str, Operation] = {}
        for operation in self._trace.operations:
            for place in operation.inputs:
                if place in self._parameters and operation.name != "step":
                    first.setdefault(self._parameters[place], operation)
        return first

    def at(self, place: int) -> tuple[frozenset[str], dict[str, _Cut]]:
        """The parameters from which a gradient could reach a value, and those from which it could not."""
        return self._open.get(place, frozenset()), self._cut.get(place, {})

    def _start(self, before: "GradientFlow | None") -> None:
        self._open |= {place: frozenset({name}) for place, name in self._parameters.items()}
        for place, earlier in self._trace.earlier.items() if before is not None else ():
            if before is not None and place not in self._open:
                self._open[place], self._cut[place] = before.at(earlier)

    def _follow(self, operation: Operation) -> None:
        if not any(place in self._open or place in self._cut for place in operation.inputs):
            return
        reaching = frozenset().union(*(self._open.get(place, frozenset()) for place in operation.inputs))
        cut: dict[str, _Cut] = {}
        for place in operation.inputs:
            cut |= {name: each for name, each in self._cut.get(place, {}).items() if name not in cut}
        if _takes_no_numbers(operation.name):
            return
        for place in operation.outputs:
            meta = self._trace.values[place].meta
            self._cut[place] = _beyond(cut, operation, meta) | self._cut_at(operation, meta, reaching)
            self._open[place] = reaching if meta.requires_grad else frozenset()

    def _cut_at(self, operation: Operation, meta: TensorMeta, reaching: Iterable[str]) -> dict[str, _Cut]:
        kind = None if meta.requires_grad else _kind_of(operation, meta)
        return {} if kind is None else dict.fromkeys(reaching, (kind, operation, meta))

    def _read(self, operation: Operation) -> Iterator[tuple[str, _Cut]]:
        for place in operation.inputs:
            reaching, cut = self.at(place)
            yield from cut.items()
            yield from ((name, (CutKind.DETACHED, operation, None)) for name in reaching)


def _grouped(found: Iterable[tuple[str, _Cut]]) -> Iterator[GradientCut]:
    groups: dict[int, list[str]] = defaultdict(list)
    cuts: dict[int, _Cut] = {}
    for name, cut in found:
        groups[id(cut[1])].append(name)
        cuts[id(cut[1])] = cut
    for key, (kind, operation, got) in cuts.items():
        yield GradientCut(kind, operation, tuple(sorted(groups[key])), got)


def _takes_no_numbers(name: str) -> bool:
    return name.endswith(_TAKING_NO_NUMBERS) or name in ("step", "backward")


def leaves_the_graph(operation: Operation) -> bool:
    """Whether it copies numbers and leaves the graph, with gradients on.

    >>> leaves_the_graph(Operation("detach", "", "", None, (), ()))
    True
    """
    return operation.is_grad_enabled and operation.name in _LEAVING


def _kind_of(operation: Operation, meta: TensorMeta) -> CutKind | None:
    """What cut the graph; None of a function that is not known to use the numbers that it is given."""
    if not operation.is_grad_enabled:
        return CutKind.SWITCHED_OFF if _has_gradients(meta) else None
    if operation.name in _LEAVING:
        return CutKind.DETACHED
    return None if _has_gradients(meta) and operation.name not in _SAMPLING else CutKind.NOT_DIFFERENTIABLE


def _has_gradients(meta: TensorMeta) -> bool:
    return meta.dtype.startswith(("float", "bfloat", "complex"))


def _beyond(cut: Mapping[str, _Cut], operation: Operation, meta: TensorMeta) -> dict[str, _Cut]:
    """The cuts that go on into what an operation made.

    Scores that were computed without gradients and then choose, as an index or a mask, are no mistake: no gradient
    passes a choice.
    """
    if operation.is_grad_enabled or _has_gradients(meta):
        return dict(cut)
    return {name: each for name, each in cut.items() if each[0] is not CutKind.SWITCHED_OFF}
