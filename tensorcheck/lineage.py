"""Where a tensor came from, as its user's source tells it: the expressions that it went through, back to its maker.

A trace knows what PyTorch did while it was recorded; a lineage is read from source and from the frames of a crash. So
it is there for what was made before anything was watched, and for what is no operation: an argument, an attribute, a
field of a batch, a sample of a dataset.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta


class Step(StrEnum):
    """How a value came to be where it is."""

    SPELLED = "spelled"
    """An expression within a larger one."""
    ASSIGNED = "assigned"
    """A statement gave it its name."""
    ARGUMENT = "argument"
    """A caller handed it over."""
    RETURNED = "returned"
    """A function of the user's returned it."""
    ATTRIBUTE = "attribute"
    """An object holds it; the place is where it was put there."""
    LOADED = "loaded"
    """A DataLoader handed it out; the place is the loop over it."""
    SAMPLE = "sample"
    """A dataset's `__getitem__` or `__iter__` returned it as part of a sample."""
    BUILT = "built"
    """It came out of an object, such as a dataset or a DataLoader, that was built here."""
    LAYER = "layer"
    """A layer computed it that was built here."""
    SIZED = "sized"
    """One of its sizes was this number."""
    COLLATED = "collated"
    """A `collate_fn` of the user's returned it as part of a batch."""


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One place where a value was on its way.

    >>> Ancestor(Step.ASSIGNED, "rows", Site("train.py", 4, code="torch.zeros(8, 4)")).line
    ('train.py', 4)
    """

    step: Step
    name: str
    """How its user calls it there: `rows`, `self.scale`, `batch[1]`; the expression itself where it has no name."""
    site: Site | None
    meta: TensorMeta | None = None
    """What it was there, of a tensor or a NumPy array, where that is still known."""
    value: object = None
    """The number, string or tuple of numbers that it was there, where it was one and that is still known."""
    parents: tuple[int, ...] = ()
    """What it was made from, by their places in the lineage."""
    function: str = ""
    """What made it, if it is a call: `stack`, `from_numpy`, `detach`; of an operator its name in `operator`: `add`."""
    device_set: Site | None = None
    """What set the default device where it was made: `torch.device("meta")`."""
    grad_off: Site | None = None
    """What switched gradients off where it was made: `torch.no_grad()`."""

    @property
    def line(self) -> tuple[str, int] | None:
        """Its file and line."""
        return None if self.site is None else (self.site.file, self.site.line)


_BESIDE = (Step.BUILT, Step.LAYER, Step.SIZED)
"""What a value was not made from, but owes something to."""

Guilty = Callable[[TensorMeta], bool]


@dataclass(frozen=True, slots=True)
class Lineage:
    """A value's ancestors: itself first, and parents after their children.

    >>> made = Ancestor(Step.ASSIGNED, "table", None, TensorMeta((4,), "float64", "cpu"))
    >>> rows = Ancestor(Step.SPELLED, "rows", None, TensorMeta((4,), "float64", "cpu"), parents=(1,))
    >>> [ancestor.name for ancestor in Lineage((rows, made)).way_back(lambda meta: meta.dtype == "float64")]
    ['rows', 'table']
    """

    ancestors: tuple[Ancestor, ...] = field(default=())

    def way_back(self, guilty: Guilty, makers: Collection[str] = ()) -> Iterator[Ancestor]:
        """From the value to the earliest place where it was already guilty, as far as that is known.

        Of several parents, one that is known to be guilty goes before one of which nothing is known. The way ends where
        all parents are known to be innocent, where there are none, and at a call of one of the `makers`.
        """
        place: int | None = 0 if self.ancestors else None
        while place is not None:
            yield self.ancestors[place]
            place = None if self.ancestors[place].function in makers else self._guilty_parent(place, guilty)

    def from_ancestor(self, place: int) -> "Lineage":
        """The lineage of the ancestor at this place."""
        moved = [replace(each, parents=tuple(parent + 1 for parent in each.parents)) for each in self.ancestors]
        return Lineage((moved[place], *moved))

    def built(self) -> Iterator[Ancestor]:
        """Where the datasets and DataLoaders were built that it came out of."""
        return (ancestor for ancestor in self.ancestors if ancestor.step is Step.BUILT)

    def layers(self) -> Iterator[Ancestor]:
        """Where the layers were built that it went through, the last first."""
        return (ancestor for ancestor in self.ancestors if ancestor.step is Step.LAYER)

    def sizes(self) -> Iterator[Ancestor]:
        """The numbers that its sizes were made of; of those with a name, the statements that gave it to them."""
        for ancestor in self.ancestors:
            if ancestor.step is Step.SIZED:
                named = [self.ancestors[parent] for parent in ancestor.parents]
                yield from [each for each in named if each.step is Step.ASSIGNED] or [ancestor]

    def _guilty_parent(self, place: int, guilty: Guilty) -> int | None:
        parents = [each for each in self.ancestors[place].parents if self.ancestors[each].step not in _BESIDE]
        known = [parent for parent in parents if (meta := self.ancestors[parent].meta) is not None and guilty(meta)]
        unknown = [parent for parent in parents if self.ancestors[parent].meta is None]
        return next(iter([*known, *unknown]), None)
