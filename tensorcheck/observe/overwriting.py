"""A tensor that was changed after the graph had saved it: which, by whom it is still held, and where it was changed."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from tensorcheck.differentiation import Held, Overwritten, Write
from tensorcheck.lineage import Lineage, Step
from tensorcheck.observe.describe import tensor_meta
from tensorcheck.observe.frames import Sites
from tensorcheck.observe.graphs import AnyNode, Graph, graph_node, node_fact, saved_tensors, version_wanted
from tensorcheck.observe.holders import Found
from tensorcheck.observe.operations import Recorder, storage_of
from tensorcheck.observe.scopes import Scope
from tensorcheck.observe.writing import layers_in_place, steps_on, writes_to
from tensorcheck.sites import Site

_MOST = 5


def overwritten_in(  # noqa: PLR0913 - what was seen, what is held and what the source shows
    graph: Graph,
    held: Sequence[Found],
    scopes: Sequence[Scope],
    *,
    lineage: Lineage,
    at: Site | None,
    recorder: Recorder | None,
    sites: Sites,
) -> Overwritten | None:
    """The first saved tensor of a graph that was changed; `lineage` and `at` are those of the loss."""
    saver, saved, version = next(_changed(graph), (None, None, 0))
    if saved is None:
        return None
    storage = storage_of(saved)
    same = [each for each in held if storage and storage_of(each.tensor) == storage]
    names = tuple(dict.fromkeys(each.held for each in same))[:_MOST]
    fact = node_fact(saver, recorder, sites)
    writes = list(_seen(saver, storage, version, recorder, sites))
    if not writes:
        writes += [write for each in same if each.held.is_parameter for write in steps_on(each.tensor, scopes)]
        around = _places(names, lineage)
        writes += list(writes_to({each.name for each in names}, around)) or list(writes_to(_passed(lineage), around))
    if not writes and at is not None:
        writes += _layers(scopes, fact.functions, at)
    return Overwritten(fact, tensor_meta(saved), names, tuple(writes)[:_MOST])


def _changed(graph: Graph) -> Iterator[tuple[AnyNode, Tensor, int]]:
    for node in graph.nodes:
        version = version_wanted(node)
        if version is not None:
            yield from ((node, saved, version) for saved in saved_tensors(node) if _version(saved) > version)


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else int(tensor._version)  # noqa: SLF001 - the only name that it has


def _seen(saver: AnyNode, storage: int, version: int, recorder: Recorder | None, sites: Sites) -> Iterator[Write]:
    """The operation that changed it, where it was traced."""
    if recorder is not None and storage:
        change = recorder.change_of(storage, version, graph_node(saver), sites)
        if change is not None and change.site is not None:
            yield Write(change.site, change.name, change.module, change.kind, is_certain=True)


def _passed(lineage: Lineage) -> set[str]:
    """The names on the way to the loss, which may have stood for the tensor."""
    return {each.name for each in lineage.ancestors if each.step is not Step.SPELLED}


def _places(held: Sequence[Held], lineage: Lineage) -> list[Site]:
    """One place in each function that the tensor may have been changed in."""
    known = [*(each.site for each in held), *(each.site for each in lineage.ancestors)]
    sites = [site for site in known if site is not None]
    return list({(site.file, site.function): site for site in sites}.values())


def _layers(scopes: Sequence[Scope], after: Sequence[str], at: Site) -> Iterator[Write]:
    """The layers of the models at hand that work in place."""
    models = [value for scope in scopes for value in scope.names.values() if isinstance(value, nn.Module)]
    for path, layer in layers_in_place(list(dict.fromkeys(models)), after):
        kind = type(layer).__name__
        yield Write(at, kind, path, kind)
