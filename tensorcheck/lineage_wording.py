"""How rules say where a value came from: the places of its lineage, each with a note."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.findings import Related
from tensorcheck.lineage import Ancestor, Guilty, Lineage, Step
from tensorcheck.modules import ModuleMeta
from tensorcheck.wording import short, title

MAKERS = frozenset(
    [
        "Tensor",
        "FloatTensor",
        "LongTensor",
        "IntTensor",
        "tensor",
        "as_tensor",
        "one_hot",
        "argmax",
        "argmin",
        "array",
        "asarray",
        "astype",
        "nonzero",
        "bincount",
        "topk",
        "multinomial",
    ]
)
"""Functions that settle dtype and device of what they give, whatever they were given."""


def made(
    operand: Operand | Setting,
    guilty: Guilty,
    what: str,
    *,
    makers: Collection[str] = MAKERS,
    ends: Callable[[Ancestor], object] = lambda _: False,
) -> tuple[Related, ...]:
    """Where an operand came from, back to the place where it was first guilty: at most four places, the root last.

    `what` says what it is guilty of, in the words of a reader: `float64`, `on meta`, `[64, 1]`. A root whose metadata
    is not known is likely, no more. `ends` knows an ancestor at which the way ends. A mistake in the values may be
    older than the tensor that holds them: then no function is its maker, and `makers` is empty.

    >>> from tensorcheck.sites import Site
    >>> from tensorcheck.tensors import TensorMeta
    >>> meta = TensorMeta((4,), "float64", "cpu")
    >>> table = Ancestor(Step.ASSIGNED, "table", Site("train.py", 4, code="np.ones(4)"), meta)
    >>> rows = Ancestor(Step.SPELLED, "table", Site("train.py", 9, code="table"), meta, parents=(1,))
    >>> operand = Operand("input", meta, rows.site, Lineage((rows, table)))
    >>> [related.note for related in made(operand, lambda meta: meta.dtype == "float64", "float64")]
    ['`table` is float64 from here on']
    """
    is_shape = what.startswith("[")
    found = operand.lineage.way_of_shape(guilty) if is_shape else operand.lineage.way_back(guilty, makers)
    whole = _up_to(found, ends)
    way = [each for each in (_up_to_layer(whole, operand.lineage) if is_shape else whole) if each.site is not None]
    seen = {(operand.site.file, operand.site.line)} if operand.site is not None else set()
    places: list[Ancestor] = []
    for ancestor in way:
        if ancestor.step is not Step.SPELLED and ancestor.line is not None and ancestor.line not in seen:
            seen.add(ancestor.line)
            places.append(ancestor)
    is_of_dataset = any(place.step is Step.SAMPLE for place in places)
    is_told = not (is_shape and is_of_dataset and places[-1].meta is None)  # a sample has not the shape of its batch
    root = _shape_at(places[-1], way) or what if is_shape and places else what
    shown = tuple(_related(place, root, is_root=is_told and place is places[-1]) for place in _fewest(places))
    return (*shown, *built(operand, seen)) if is_of_dataset else shown


def device_was_set(ancestor: Ancestor) -> bool:
    """Whether it was made where a `with torch.device(...)` says what device is meant.

    >>> device_was_set(Ancestor(Step.ASSIGNED, "rows", None))
    False
    """
    return ancestor.device_set is not None


def _shape_at(place: Ancestor, way: Sequence[Ancestor]) -> str:
    """The shape of an ancestor or, where that is not known, of the nearest that was made from it; else empty."""
    metas = [each.meta for each in way[: way.index(place) + 1] if each.meta is not None]
    return str(list(metas[-1].shape)) if metas else ""


_HANDED_ON = (Step.ARGUMENT, Step.LOADED, Step.COLLATED, Step.SAMPLE)
"""Steps that change nothing but, of a sample, the dim of the batch."""


def _up_to_layer(way: Iterable[Ancestor], lineage: Lineage) -> Iterator[Ancestor]:
    """The way to the last layer on it, which gives another shape than it is given, and beyond it what is known."""
    is_beyond = False
    for ancestor in way:
        if is_beyond and ancestor.meta is None and ancestor.step not in _HANDED_ON:
            return
        yield ancestor
        is_beyond |= any(lineage.ancestors[parent].step is Step.LAYER for parent in ancestor.parents)


def _up_to(way: Iterable[Ancestor], ends: Callable[[Ancestor], object]) -> Iterator[Ancestor]:
    for ancestor in way:
        yield ancestor
        if ends(ancestor):
            return


def built(operand: Operand | Setting, seen: Collection[tuple[str, int]] = ()) -> Iterator[Related]:
    """Where the dataset or else the DataLoader was built that an operand came out of.

    >>> from tensorcheck.tensors import TensorMeta
    >>> list(built(Operand("input", TensorMeta((4,), "float64", "cpu"))))
    []
    """
    places = [place for place in operand.lineage.built() if place.line is not None and place.line not in seen]
    for place in places[:1]:
        if place.site is not None:
            yield Related(place.site, f"`{place.name}` is built here")


def written(lineage: Lineage | None, number: object) -> tuple[Related, ...]:
    """Where a number was written that a layer was built with, or that a call was given: the place itself.

    >>> from tensorcheck.sites import Site
    >>> line = Site("model.py", 7, code="11", source="    inputs: int = 11")
    >>> width = Ancestor(Step.ATTRIBUTE, "cfg.inputs", line, value=11)
    >>> [related.note for related in written(Lineage((width,)), 11)]
    ['`cfg.inputs` is 11 from here']
    """
    if lineage is None:
        return ()
    equal = [each for each in lineage.worth(number) if each.site is not None]
    places = [each for each in equal if each.step is not Step.SPELLED]
    spelled = [each for each in equal if each is not lineage.ancestors[0] and each.name == repr(number)]
    literals = spelled if not places else []
    handed = [each for each in places[:-1] if each.step is Step.ARGUMENT][-1:]
    return tuple(
        Related(each.site, note)
        for each, note in (
            *((each, f"`{short(each.name)}` is handed over here") for each in handed),
            *((each, f"`{short(each.name)}` is {number} from here") for each in places[-1:]),
            *((each, f"{number} is written here") for each in literals[-1:]),
        )
        if each.site is not None
    )


def settled(call: FailedCall, layer: ModuleMeta, setting: str) -> tuple[Related, ...]:
    """Where a layer's setting was written; where it stands in the line that built the layer, that line."""
    value = layer.settings.get(setting)
    is_one = isinstance(value, tuple) and len(set(value)) == 1
    places = written(call.made.get(setting), value[0] if is_one and isinstance(value, tuple) else value)
    if places or layer.definition is None:
        return places
    return (Related(layer.definition, f"{title(layer)} is built here"),)


def _fewest(places: Sequence[Ancestor]) -> list[Ancestor]:
    """The nearest, the dataset's and the one that made a tensor of it or the last before the root, and the root."""
    if len(places) <= _PLACES:
        return list(places)
    between = places[1:-1]
    handed = [place for place in between if place.step in (Step.SAMPLE, Step.COLLATED)][:1]
    turned = [place for place in between if _makes_tensor(place) and place not in handed][:1]
    kept = [*handed, *turned] or between[-1:]
    return [places[0], *sorted(kept, key=places.index), places[-1]]


def _makes_tensor(place: Ancestor) -> bool:
    """Whether the line turns something into a tensor, whatever else it does with it."""
    return place.site is not None and any(f"{name}(" in place.site.code for name in _INTO_TORCH)


_PLACES = 3
_INTO_TORCH = ("from_numpy", "as_tensor", "tensor")
_NOTES = {
    Step.ARGUMENT: "`{}` is handed over here",
    Step.RETURNED: "`{}` is returned here",
    Step.LOADED: "`{}` comes out of the DataLoader here",
    Step.SAMPLE: "the dataset hands `{}` out here",
    Step.COLLATED: "the collate function hands `{}` out here",
}


def _related(place: Ancestor, what: str, *, is_root: bool) -> Related:
    name = short(place.name)
    doubt = "likely: " if place.meta is None and place.value is None else ""
    root = f"{doubt}`{name}` is {what} from here on"
    is_display = place.name.startswith(("[", "{"))  # a list has no dtype, only what is in it
    note = root if is_root and not is_display else _NOTES.get(place.step, "`{}` is made here").format(name)
    assert place.site is not None  # noqa: S101 - those without a site were left out
    return Related(place.site, note)
