"""How rules tell of a batch that could not be loaded: its fields, its samples, its places."""

from collections.abc import Iterable, Iterator

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Related
from tensorcheck.lineage import Ancestor, Lineage, Step
from tensorcheck.loading import Fault, Loading
from tensorcheck.sites import Site
from tensorcheck.wording import short

_ROOM = 24
"""Characters that an expression may have where it stands for a field that has no name."""
_MOST = 5
"""Places that a reader is shown besides the first."""


def field_title(fault: Fault) -> str:
    """A field's key, or what the dataset's source writes there; `field 1` where that is too long to read.

    >>> from tensorcheck.loading import Sample, Value
    >>> field_title(Fault(('["tokens"]',), None, Sample(0), Value("NoneType", "other")))
    '`tokens`'
    """
    if not fault.path:
        return ""
    if '"' in fault.path[-1]:
        return f"`{fault.key}`"
    spelled = fault.lineage.ancestors[0] if fault.lineage.ancestors else None
    is_short = spelled is not None and spelled.step is Step.SAMPLE and len(spelled.name) <= _ROOM
    if spelled is not None and is_short and spelled.name not in ("None", "...") and len(fault.path) == 1:
        return f"`{spelled.name}`"
    return f"field {fault.key}"


def field_site(fault: Fault) -> Site | None:
    """Where the dataset's source hands out the field."""
    first = fault.lineage.ancestors[:1]
    element = [each for each in fault.lineage.ancestors[1:2] if first and each.name == first[0].name]
    return next((each.site for each in (*element, *first)), None)


def way_back(lineage: Lineage) -> Iterator[Ancestor]:
    """The statements that a value went through, the nearest first."""
    steps = (Step.ASSIGNED, Step.RETURNED, Step.ATTRIBUTE)
    return (ancestor for ancestor in lineage.way_back(lambda _: True) if ancestor.step in steps and ancestor.site)


def places(event: Crashed, loading: Loading, site: Site | None, *more: Related) -> tuple[Related, ...]:
    """What else a reader should see: first what is given, then where the loader was built and where it was asked."""
    fixed: list[Related] = []
    if loading.built is not None:
        without = ", without a `collate_fn`" if loading.part == "collate" and not loading.collate else ""
        fixed.append(Related(loading.built, f"the DataLoader is built here{without}"))
    if event.site is not None and loading.failure is None:
        fixed.append(Related(event.site, "the batch is asked for here"))
    return tuple(_each_line_once((*more, *fixed), site))[:_MOST]


def _each_line_once(related: Iterable[Related], site: Site | None) -> Iterator[Related]:
    seen = {(site.file, site.line)} if site is not None else set()
    for each in related:
        line = (each.site.file, each.site.line)
        if line not in seen:
            seen.add(line)
            yield each


def made_at(lineage: Lineage, most: int = 2) -> tuple[Related, ...]:
    """The nearest statements that a value went through and the farthest, of each line the first."""
    found = (
        Related(each.site, f"`{short(each.name)}` is {_VERBS.get(each.step, 'made')} here")
        for each in way_back(lineage)
        if each.site is not None
    )
    places = tuple(_each_line_once(found, None))
    return places if len(places) <= most else (*places[: most - 1], places[-1])


_VERBS = {Step.RETURNED: "returned"}


def circumstances(loading: Loading) -> tuple[str, ...]:
    """In which process it was, and what was asked again."""
    worker = [] if loading.worker is None else [f"in worker {loading.worker} of {loading.workers}"]
    asked = ["these samples were asked for again in this process"] if loading.is_asked and loading.samples else []
    unknown = []
    if loading.worker is not None and not loading.indices and not loading.is_stream and loading.part != "start":
        unknown = ["which samples the batch was made of is not known"]
    together = "; ".join([*worker, *asked, *unknown])
    return (together,) if together else ()
