"""The optimizers of a loop's first steps: which there are, whose parameters they share, and what their gradients do."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from torch import Tensor
from torch.optim import Optimizer

from tensorcheck.events.loop import LoopOptimizer
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.gradient_looks import GradientLooks
from tensorcheck.observe.graph_reach import GraphReach
from tensorcheck.observe.heap import living
from tensorcheck.observe.optimized import parameters_of
from tensorcheck.observe.probe import Sink
from tensorcheck.sites import Site


@dataclass(slots=True)
class Met:
    """An optimizer that was met."""

    looks: GradientLooks
    kind: str
    built: Site | None
    is_watched: bool
    """Whether it holds a parameter of a watched model."""
    takes_closure: bool = False
    backwards: int = 0
    """How often gradients arrived before its first step."""
    has_stepped: bool = False
    steps: int = 0
    """Those that had gradients."""
    shared: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """The parameters that others hold too, which stepped before."""


class MetOptimizers:
    """All of them, numbered in the order in which they were met."""

    def __init__(self, sink: Sink, optimizers: FollowedOptimizers) -> None:
        self._sink = sink
        self._optimizers = optimizers
        self._met: dict[int, Met] = {}
        self._has_searched = False

    def alive(self) -> dict[int, Met]:
        """Those that are alive; those that are new are met now."""
        if not self._has_searched:
            self._search()
        known = {id(optimizer) for each in self._met.values() if (optimizer := each.looks.reference()) is not None}
        for followed in self._optimizers:
            optimizer = followed.reference()
            if optimizer is not None and id(optimizer) not in known and hasattr(optimizer, "param_groups"):
                self._meet(optimizer, followed.built)
        return {number: each for number, each in self._met.items() if each.looks.reference() is not None}

    def _search(self) -> None:
        """Find those that were built before anybody watched: once, for it may ask the whole heap."""
        self._has_searched = True
        earlier = self._sink.earlier_optimizers
        for optimizer in living(Optimizer) if earlier is None else earlier:
            if "param_groups" in vars(optimizer):
                self._optimizers.known(optimizer)

    def _meet(self, optimizer: Optimizer, built: Site | None) -> None:
        if self._sink.wants_optimizer(optimizer):
            is_watched = any(self._name(tensor) for tensor in parameters_of(optimizer))
            self._met[len(self._met)] = Met(GradientLooks(optimizer), type(optimizer).__name__, built, is_watched)

    def of(self, optimizer: object) -> tuple[int, Met] | None:
        """The number of one of them, and what is known of it."""
        return next((each for each in self.alive().items() if each[1].looks.reference() is optimizer), None)

    def first_step(self, optimizer: Optimizer, met: Met) -> None:
        """Now its models are known, and the optimizers that stepped before it."""
        met.is_watched |= any(self._name(tensor) for tensor in parameters_of(optimizer))
        ids = {id(tensor) for tensor in parameters_of(optimizer)}
        for number, each in self._met.items():
            other = each.looks.reference()
            if each.has_stepped and other is not None and not _is_wrapped(optimizer, other):
                both = tuple(self._name(tensor) for tensor in parameters_of(other) if id(tensor) in ids)
                met.shared.update({number: both} if both else {})
        met.has_stepped = True

    def _name(self, tensor: Tensor) -> str:
        return next((name for subject in self._sink.subjects if (name := subject.name_of(tensor))), "")

    def nearest_first(self, numbers: Iterable[int], reach: GraphReach | None) -> tuple[int, ...]:
        """Optimizers in the order in which a graph comes to their parameters; those not reached last."""
        places = {leaf: place for place, leaf in enumerate(reach.leaves)} if reach is not None else {}

        def first(number: int) -> int:
            held = self._met[number].looks.held()
            return min((places[id(each)] for each in held if id(each) in places), default=len(places))

        return tuple(sorted(numbers, key=first))

    def reaches_others(self, reach: GraphReach | None) -> bool:
        """Whether a graph leads to tensors that none of them holds, or may do so."""
        held = {id(each) for met in self._met.values() for each in met.looks.held()}
        return reach is None or not held.issuperset(reach.leaves)

    def facts(self) -> Iterator[LoopOptimizer]:
        """All that were met, as plain facts; they are let go."""
        for met in self._met.values():
            yield LoopOptimizer(met.kind, met.built, met.is_watched, met.takes_closure, tuple(met.shared.items()))
        self._met = {}


def _is_wrapped(one: Optimizer, other: Optimizer) -> bool:
    """Whether two optimizers have a group in common, as one that wraps another has."""
    groups = {id(group) for group in one.param_groups}
    return any(id(group) in groups for group in other.param_groups)
