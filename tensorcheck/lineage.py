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
    PLACED = "placed"
    """It was made on, or moved to, the device that this names."""
    TYPED = "typed"
    """It was given the dtype that this names."""
    COLLATED = "collated"
    """A `collate_fn` of the user's returned it as part of a batch."""
    SAVED = "saved"
    """It was written to the file here that it was read from."""


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
    is_whole: bool = True
    """Whether these are all that is known of; not in a loop that hands a value on to its next round."""
    function: str = ""
    """What made it, if it is a call: `stack`, `from_numpy`, `detach`; of an operator its name in `operator`: `add`."""
    device_set: Site | None = None
    """What set the default device where it was made: `torch.device("meta")`."""
    takes_dtype: bool = False
    """Whether it is a call that copies the dtype of what it is given: `torch.tensor(rows)`, without `dtype=`."""
    grad_off: Site | None = None
    """What switched gradients off where it was made: `torch.no_grad()`."""

    @property
    def line(self) -> tuple[str, int] | None:
        """Its file and line."""
        return None if self.site is None else (self.site.file, self.site.line)


_BESIDE = (Step.BUILT, Step.LAYER, Step.SIZED, Step.PLACED, Step.TYPED)
"""What a value was not made from, but owes something to."""

_DEEPEST = 40
"""Steps back that are looked at to know a value as innocent."""
_HANDING_ON = ("", "getitem", "index")
"""Of a name, a literal or an element there is no function."""
_HANDING = (Step.RETURNED, Step.SAMPLE, Step.COLLATED, Step.SAVED, Step.ATTRIBUTE)
"""What a call of the user's gives is what its function returned, and an attribute's name is no function's."""

Guilty = Callable[[TensorMeta], bool]
_OF_PYTHON = ("float32", "int64", "bool")
"""What Python's own numbers become as tensors."""
_KEEPING_SHAPE = frozenset(
    [
        *("DataLoader", "Subset", "TensorDataset", "enumerate", "iter", "list", "next", "random_split", "zip", "tqdm"),
        *("FloatTensor", "LongTensor", "Parameter", "Tensor", "array", "asarray", "as_tensor", "from_numpy", "tensor"),
        *("astype", "bfloat16", "clone", "contiguous", "copy", "cpu", "cuda", "deepcopy", "detach", "double", "float"),
        *("half", "int", "long", "numpy", "requires_grad_", "to", "type", "load", "data"),
        *(
            "abs",
            "add",
            "clamp",
            "clip",
            "div",
            "exp",
            "log",
            "log1p",
            "mod",
            "mul",
            "neg",
            "pow",
            "round",
            "sqrt",
            "sub",
        ),
        *("truediv", "floordiv", "gelu", "leaky_relu", "log_softmax", "relu", "sigmoid", "silu", "softmax", "tanh"),
        *("dropout", "layer_norm", "normalize", "sin", "cos", "mult", "pop", "get", "flip", "fliplr", "flipud", "roll"),
        *("sample", "rsample", "Bernoulli", "Beta", "Gamma", "Laplace", "LogNormal", "Normal", "Poisson", "Uniform"),
    ]
)
"""Functions that give the shape of what they are given, and containers that hand it on."""


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

        Of several parents, one that is known to be guilty goes before one of which nothing is known, and of those one
        that has a guilty ancestor. The way ends where all parents are known to be innocent, where there are none, and
        at a call of one of the `makers`.
        """
        place: int | None = 0 if self.ancestors else None
        while place is not None:
            yield self.ancestors[place]
            place = None if self._is_made(place, makers, guilty) else self._guilty_parent(place, guilty)

    def way_of_shape(self, guilty: Guilty) -> Iterator[Ancestor]:
        """The same of a shape: the way ends also at a call that may have changed it, unless it was guilty before.

        A sample has not the dim of the batch: beyond a dataset it is guilty if a batch of such would be.
        """
        place: int | None = 0 if self.ancestors else None
        while place is not None:
            here = self.ancestors[place]
            yield here
            if here.step is Step.SAMPLE and self.ancestors[0].meta is not None:
                guilty = _in_a_batch(guilty, self.ancestors[0].meta.shape[:1])
            may_reshape = self._may_reshape(place)
            is_guilty = guilty if may_reshape else _of_rank(guilty, here)
            place = self._guilty_parent(place, is_guilty, only_known=may_reshape)

    def from_ancestor(self, place: int) -> "Lineage":
        """The lineage of the ancestor at this place."""
        moved = [replace(each, parents=tuple(parent + 1 for parent in each.parents)) for each in self.ancestors]
        return Lineage((moved[place], *moved))

    def branch(self, first: Ancestor) -> "Lineage":
        """One of the ancestors and what it was made from, without the others.

        >>> table, rows = Ancestor(Step.ASSIGNED, "table", None), Ancestor(Step.SPELLED, "rows", None, parents=(1,))
        >>> Lineage((rows, table)).branch(table).ancestors == (table,)
        True
        """
        kept = [next(place for place, each in enumerate(self.ancestors) if each is first)]
        for place in kept:
            kept += [parent for parent in self.ancestors[place].parents if parent not in kept]
        moved = {place: index for index, place in enumerate(kept)}
        found = (self.ancestors[place] for place in kept)
        return Lineage(tuple(replace(each, parents=tuple(moved[parent] for parent in each.parents)) for each in found))

    def maker(self) -> Ancestor | None:
        """What made the value that was only named and handed on since; None where that is not known.

        >>> made = Ancestor(Step.ASSIGNED, "points", None, function="rand")
        >>> Lineage((Ancestor(Step.SPELLED, "x", None, parents=(1,)), made)).maker() is made
        True
        """
        place, seen = 0, set[int]()
        while place < len(self.ancestors) and place not in seen:
            seen.add(place)
            ancestor = self.ancestors[place]
            parents = [each for each in ancestor.parents if self.ancestors[each].step not in _BESIDE]
            is_handed_on = not ancestor.function or any(self.ancestors[each].step is Step.RETURNED for each in parents)
            if not is_handed_on:
                return ancestor
            if len(parents) != 1:
                return None
            place = parents[0]
        return None

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

    def placing(self, ancestor: Ancestor) -> Iterator[Ancestor]:
        """What names the device that an ancestor was made on, and what that was given from, back to where it began.

        >>> device = Ancestor(Step.PLACED, "self.device", None, value="meta")
        >>> steps = Ancestor(Step.ASSIGNED, "steps", None, parents=(1,))
        >>> [each.name for each in Lineage((steps, device)).placing(steps)]
        ['self.device']
        """
        return self._naming(ancestor, Step.PLACED)

    def typing(self, ancestor: Ancestor) -> Iterator[Ancestor]:
        """The same of the dtype that an ancestor was given: `IDS` of `rows.astype(IDS)`.

        >>> dtype = Ancestor(Step.TYPED, "IDS", None)
        >>> rows = Ancestor(Step.ASSIGNED, "rows", None, parents=(1,))
        >>> [each.name for each in Lineage((rows, dtype)).typing(rows)]
        ['IDS']
        """
        return self._naming(ancestor, Step.TYPED)

    def _naming(self, ancestor: Ancestor, step: Step) -> Iterator[Ancestor]:
        places = [place for place in ancestor.parents if self.ancestors[place].step is step]
        seen: set[int] = set()
        while places and places[0] not in seen:
            seen.add(places[0])
            yield self.ancestors[places[0]]
            places = list(self.ancestors[places[0]].parents)

    def worth(self, number: object) -> tuple[Ancestor, ...]:
        """The ancestors that were this number, up to where several of them may have been meant."""
        equal: list[Ancestor] = []
        for ancestor in self.ancestors:
            if ancestor.value == number:
                equal.append(ancestor)
            alike = [self.ancestors[parent] for parent in ancestor.parents if self.ancestors[parent].value == number]
            if len({each.line for each in alike}) > 1:
                break
        return tuple(equal)

    def _is_made(self, place: int, makers: Collection[str], guilty: Guilty) -> bool:
        """Whether a call settles what it gives; one that copies a dtype does where Python's numbers have that dtype."""
        here, first = self.ancestors[place], self.ancestors[0]
        is_copied = here.takes_dtype and first.meta is not None and first.meta.dtype not in _OF_PYTHON
        return here.function in makers and not is_copied and not (here.takes_dtype and self._stems_from(place, guilty))

    def _may_reshape(self, place: int) -> bool:
        here = self.ancestors[place]
        is_handed = any(self.ancestors[parent].step in _HANDING for parent in here.parents)
        return bool(here.function) and here.function not in _KEEPING_SHAPE and not is_handed

    def _guilty_parent(self, place: int, guilty: Guilty, *, only_known: bool = False) -> int | None:
        parents = self._makers(place)
        known = [parent for parent in parents if self._is_known_guilty(parent, guilty)]
        unknown = [
            each for each in parents if self.ancestors[each].meta is None and not self._is_innocent(each, guilty)
        ]
        if len(unknown) > 1:
            unknown.sort(key=lambda parent: not self._stems_from(parent, guilty))
        return next(iter(known if only_known else [*known, *unknown]), None)

    def _makers(self, place: int) -> list[int]:
        return [each for each in self.ancestors[place].parents if self.ancestors[each].step not in _BESIDE]

    def _is_known_guilty(self, place: int, guilty: Guilty) -> bool:
        meta = self.ancestors[place].meta
        return meta is not None and guilty(meta)

    def _is_innocent(self, place: int, guilty: Guilty, depth: int = _DEEPEST) -> bool:
        """Whether it is a plain number, or a name or an element that stands for nothing but what is innocent."""
        here, makers = self.ancestors[place], self._makers(place)
        if here.meta is not None:
            return not guilty(here.meta)
        if isinstance(here.value, int | float) and self.ancestors[0].meta is not None:
            return True
        is_handed = any(self.ancestors[parent].step is Step.ATTRIBUTE for parent in makers)
        if not depth or not here.is_whole or not makers or not (is_handed or here.function in _HANDING_ON):
            return False
        asked = self._whatever_the_shape(guilty) if here.function == "index" else guilty
        return all(self._is_innocent(parent, asked, depth - 1) for parent in makers)

    def _whatever_the_shape(self, guilty: Guilty) -> Guilty:
        """The same question of a whole of which a part has the shape of this value."""
        first = self.ancestors[0].meta
        return lambda meta: guilty(meta if first is None else replace(meta, shape=first.shape))

    def _stems_from(self, place: int, guilty: Guilty) -> bool:
        """Whether one is known to be guilty that it was made from, through places of which nothing is known."""
        waiting, seen = [place], {place}
        while waiting:
            parents = [each for each in self._makers(waiting.pop()) if each not in seen]
            if any(self._is_known_guilty(parent, guilty) for parent in parents):
                return True
            seen.update(parents)
            waiting += [parent for parent in parents if self.ancestors[parent].meta is None]
        return False


def _of_rank(guilty: Guilty, made: Ancestor) -> Guilty:
    """Of what was computed element by element, what has all its dims: the others were broadcast."""
    rank = len(made.meta.shape) if made.meta is not None and made.function else 0
    return lambda meta: len(meta.shape) >= rank and guilty(meta)


def _in_a_batch(guilty: Guilty, batch: tuple[int, ...]) -> Guilty:
    def is_guilty(meta: TensorMeta) -> bool:
        shapes = (meta.shape, (*batch, *meta.shape), (*batch, *meta.shape[1:]))
        return any(guilty(replace(meta, shape=shape)) for shape in shapes)

    return is_guilty
