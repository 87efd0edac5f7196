"""From the frames below a DataLoader to what it was doing when it failed."""

import ast
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from torch.utils.data import Subset, SubsetRandomSampler, WeightedRandomSampler, _utils, dataloader, default_collate

from tensorcheck.lineage import Lineage
from tensorcheck.loading import Fault, Loading, Part, Sample, Unfit, Value, first_fault
from tensorcheck.observe.asking import Asked, ask, index_name, located, names_of
from tensorcheck.observe.constructions import construction_of
from tensorcheck.observe.cuts import cut_in
from tensorcheck.observe.drawn import DrawnIndices
from tensorcheck.observe.failures import failure_in, failure_told
from tensorcheck.observe.first_looks import Draw, first_look
from tensorcheck.observe.frames import Owner, expression_at, position_of, tree_of
from tensorcheck.observe.indices import indices_of
from tensorcheck.observe.known_datasets import known_of
from tensorcheck.observe.lineages import Lineages
from tensorcheck.observe.replaying import executed_lines
from tensorcheck.observe.samples import kind_of, value_meta
from tensorcheck.observe.stack import StackFrame
from tensorcheck.observe.undisturbed import WorkerSeat

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - what `iter(loader)` gives has no public name
_FETCHER = _utils.fetch._BaseDatasetFetcher  # noqa: SLF001 - what asks the dataset, in this process or in a worker
_WORKER = re.compile(r"Caught \w+ in DataLoader worker process (\d+)\.")
_LOST = re.compile(r"DataLoader worker \(pid|DataLoader timed out|Pin memory thread exited")
_REMEMBERED = "__tensorcheck_loading__"
"""The attribute of an exception that holds what its samples said: they are asked once, however many explain it."""


def loading_of(error: BaseException, frames: Sequence[StackFrame], drawn: DrawnIndices | None) -> Loading | None:
    """What a DataLoader was doing when it failed; None where none was running."""
    known = vars(error).get(_REMEMBERED)
    if isinstance(known, Loading):
        return known
    with suppress(Exception):  # a dataset may be anything, and a crash has more to be explained by
        return _found(error, frames, drawn)
    return None


def _found(error: BaseException, frames: Sequence[StackFrame], drawn: DrawnIndices | None) -> Loading | None:
    place = next((place for place in range(len(frames) - 1, -1, -1) if _iterator(frames[place]) is not None), None)
    if place is None:
        return construction_of(error, frames)
    start = next(at for at in range(place + 1) if _iterator(frames[at]) is _iterator(frames[place]))
    loading = _Crash(error, frames[:start], frames[start:], _iterator(frames[place]), drawn).loading()
    vars(error)[_REMEMBERED] = loading
    return loading


def _iterator(frame: StackFrame) -> Any:  # noqa: ANN401 - a private class of torch
    if frame.owner is not Owner.TORCH:
        return None
    owner = frame.local("self")
    return owner if isinstance(owner, _ITERATOR) else None


@dataclass(frozen=True, slots=True)
class _Crash:
    """A loader's failure while its frames are still there."""

    error: BaseException
    above: Sequence[StackFrame]
    below: Sequence[StackFrame]
    iterator: Any
    drawn: DrawnIndices | None

    def loading(self) -> Loading:
        """All that is known of it."""
        told = _WORKER.match(str(self.error).lstrip("'\""))
        if told is not None:
            loading = _in_worker(self, int(told[1]))
        elif (fetch := self._fetch()) is not None:
            loading = _in_process(self, fetch)
        else:
            is_lost = _LOST.search(str(self.error)) is not None
            loading = self.known("worker" if is_lost else self._part_of_sampler())
        lineage = self._lineage()
        found = (each for each in lineage.ancestors if each.function == "DataLoader")
        built = next((each.site for each in found), None)
        return replace(loading, built=built, sampler_lineage=_sampler_lineage(lineage))

    def known(self, part: Part) -> Loading:
        """What the loader and its dataset say of themselves."""
        return replace(
            known_of(part, self.iterator._dataset),  # noqa: SLF001 - the loader itself is out of reach from here
            sampler=_sampler(self.iterator),
            workers=self.iterator._num_workers,  # noqa: SLF001 - likewise
            collate=_user_collate(self.iterator),
        )

    def _fetch(self) -> StackFrame | None:
        fetching = (frame for frame in self.below if isinstance(frame.local("self"), _FETCHER))
        return next(fetching, None)

    def _part_of_sampler(self) -> Part:
        return "sampler" if any(frame.frame.f_code.co_name == "_next_index" for frame in self.below) else "loader"

    def _lineage(self) -> Lineage:
        """Where the loader came from, by the expression that the user iterates over."""
        last = max((at for at, frame in enumerate(self.above) if frame.owner is Owner.USER), default=-1)
        if last < 0:
            return Lineage()
        return Lineages(self.above[: last + 1]).of(_asked_of(self.above[last]), None)

    def with_lineage(self, fault: Fault, odd: Draw | None, other: Draw | None) -> Fault:
        """A fault with where the dataset's source makes that part of its sample, which is made once more to see how.

        `odd` and `other` are None where these samples can't be asked for.
        """
        dataset = self.iterator._dataset  # noqa: SLF001 - the loader itself is out of reach from here
        again = executed_lines(dataset, odd.index, odd.state) if odd is not None else None
        is_same = again is not None and again.value == fault.odd.value  # and so no chance decided otherwise
        path = [ast.literal_eval(subscript[1:-1]) for subscript in fault.path if _is_literal(subscript)]
        ran = again.lines if again is not None and is_same else frozenset[tuple[str, int]]()
        first = None
        if is_same and odd is not None and other is not None and fault.mismatch is not None:
            first = first_look(dataset, odd, other, fault.odd_value, fault.mismatch)
        made_by = located(dataset, odd.index)[0] if odd is not None else dataset
        return replace(fault, lineage=Lineages(self.above).of_sample(made_by, tuple(path), ran), first=first)


def _sampler_lineage(lineage: Lineage) -> Lineage:
    """Where the sampler of a loader was built, if its user built it."""
    places = (place for place, each in enumerate(lineage.ancestors) if each.function.endswith("Sampler"))
    place = next(places, None)
    return Lineage() if place is None else lineage.from_ancestor(place)


def _asked_of(user: StackFrame) -> ast.expr | None:
    """The expression that a line asks for a batch, which may be that of a loop."""
    code = user.frame.f_code
    node = expression_at(code, user.instruction)
    if isinstance(node, ast.expr):
        return node
    span = position_of(code, user.instruction)
    loops = (node for node in ast.walk(tree_of(code.co_filename) or ast.Module([], [])) if isinstance(node, ast.For))
    return next((loop.iter for loop in loops if (loop.lineno, loop.col_offset) == (span[0], span[2])), None)


def _is_literal(subscript: str) -> bool:
    try:
        return isinstance(ast.literal_eval(subscript[1:-1]), int | str)
    except (ValueError, SyntaxError):
        return False


def _in_process(crash: _Crash, fetch: StackFrame) -> Loading:
    """A batch that was made in this process, of which the frames hold everything."""
    given, data = fetch.local("possibly_batched_index"), fetch.local("data")
    indices = given if isinstance(given, list | tuple) else [given]
    place = crash.below.index(fetch)
    inside = crash.below[place + 1 :]
    node = expression_at(fetch.frame.f_code, fetch.instruction)
    if node is not None and ast.unparse(node).startswith("self.collate_fn"):
        return _collating(crash, crash.known("collate"), indices, data, inside)
    known = crash.known("sample")
    failure = failure_in(inside, crash.error, _called(inside))
    if known.is_stream:
        done = crash.iterator._num_yielded * len(indices) + (len(data) if isinstance(data, list) else 0)  # noqa: SLF001
        return replace(known, position=done, failure=failure)
    known, beyond = _of_subset(known, crash.iterator._dataset, indices)  # noqa: SLF001 - likewise
    failing = Sample(_failing_index(inside, indices) if beyond is None else beyond, failure=failure)
    names = tuple(names_of(crash.iterator._dataset, indices))  # noqa: SLF001 - likewise
    return replace(known, indices=names, failing=failing, failure=failure)


def _of_subset(known: Loading, dataset: object, indices: Sequence[Any]) -> tuple[Loading, int | None]:
    """A Subset that is asked for more than it has raises by itself: the dataset below was not asked for anything."""
    length = len(dataset.indices) if isinstance(dataset, Subset) else None
    beyond = [index for index in indices if length is not None and isinstance(index, int) and index >= length]
    if not beyond:
        return known, None
    return replace(known, dataset=type(dataset).__name__, length=length, length_site=None), beyond[0]


def _called(inside: Sequence[StackFrame]) -> str:
    own = (frame.frame.f_code.co_name for frame in inside if frame.owner is Owner.USER)
    return next(own, "__getitem__")


def _failing_index(inside: Sequence[StackFrame], indices: Sequence[Any]) -> int | str:
    """The index that the innermost dataset was asked for."""
    asked = [frame for frame in inside if frame.frame.f_code.co_name == "__getitem__" and len(frame.parameters) > 1]
    own = [frame for frame in asked if frame.owner is Owner.USER][:1] or asked[-1:]
    for frame in own:
        return index_name(frame.local(frame.parameters[1]))
    looping = (frame.local("idx") for frame in inside if frame.frame.f_code.co_name == "<listcomp>")
    return index_name(next(looping, indices[0]))


def _collating(
    crash: _Crash, known: Loading, indices: Sequence[Any], data: object, inside: Sequence[StackFrame]
) -> Loading:
    """Samples that are all there, but can't be made a batch."""
    dataset = crash.iterator._dataset  # noqa: SLF001 - likewise
    values = data if isinstance(data, list) and crash.iterator._auto_collation else [data]  # noqa: SLF001 - likewise
    names: list[int | str]
    if known.is_stream:
        done = crash.iterator._num_yielded * len(indices)  # noqa: SLF001 - likewise
        names = list(range(done, done + len(values)))
    else:
        names = list(names_of(dataset, indices))
    samples = tuple(Sample(name, value_meta(value)) for name, value in zip(names, values, strict=False))
    failure = failure_in(inside, crash.error, known.collate) if known.collate else None
    fault = first_fault(samples)
    if fault is None or known.is_stream:
        fault = crash.with_lineage(fault, None, None) if fault is not None else None
        return replace(known, indices=tuple(names), samples=samples, fault=fault, failure=failure)
    draws = {id(sample): Draw(index, None) for sample, index in zip(samples, indices, strict=False)}
    odd, other = draws[id(fault.odd)], draws.get(id(fault.other))
    cut = cut_in(dataset, odd.index, None) if fault.mismatch == "shape" else None
    fault = crash.with_lineage(fault, odd, other)
    return replace(known, indices=tuple(names), samples=samples, fault=fault, failure=failure, cut=cut)


def _in_worker(crash: _Crash, worker: int) -> Loading:
    """A batch that a worker made; its exception is a text, and its samples are asked for again."""
    text = _text(crash.error)
    known = replace(crash.known(_part_told(text)), worker=worker)
    start = {"start": "_worker_loop", "collate": "fetch"}.get(known.part, "fetch")
    failure = failure_told(text, start)
    known = replace(known, failure=failure)
    batch = _batch_number(crash)
    indices = indices_of(crash.iterator, batch, crash.drawn) if batch is not None and not known.is_stream else None
    if indices is None or known.part == "start":
        return known
    indices = indices if isinstance(indices, list | tuple) else [indices]
    dataset = crash.iterator._dataset  # noqa: SLF001 - likewise
    is_first = batch is not None and batch < crash.iterator._num_workers  # noqa: SLF001 - likewise
    seat = WorkerSeat(worker, known.workers, crash.iterator._base_seed) if is_first else None  # noqa: SLF001 - likewise
    asked = ask(dataset, indices, seat)
    known = replace(known, indices=tuple(names_of(dataset, indices)), samples=tuple(asked.samples), is_asked=True)
    if known.part == "sample":
        known, _ = _of_subset(known, dataset, indices)
        return _again(known, asked.samples[-1] if asked.samples else None)
    return _collated_again(crash, known, indices, asked)


def _text(error: BaseException) -> str:
    """The message that holds a worker's traceback; a KeyError shows its argument's `repr`, which is this text."""
    return str(error.args[0]) if error.args and isinstance(error.args[0], str) else str(error)


def _part_told(text: str) -> Part:
    if re.search(r"^    init_fn\(worker_id\)", text, re.MULTILINE):
        return "start"
    return "collate" if re.search(r"^    return self\.collate_fn\(data\)", text, re.MULTILINE) else "sample"


def _batch_number(crash: _Crash) -> int | None:
    """The number of the batch that a worker sent its exception for."""
    frame = next((each for each in crash.below if each.frame.f_code.co_name == "_next_data"), None)
    if frame is None:
        return None
    if getattr(crash.iterator, "_in_order", True):
        return int(crash.iterator._rcvd_idx) - 1  # noqa: SLF001 - likewise
    number = frame.local("idx")
    return number if isinstance(number, int) else None


def _again(known: Loading, last: Sample | None) -> Loading:
    """The sample that raised in a worker, if it raises the same here."""
    again = last.failure if last is not None else None
    if again is None or known.failure is None or again.error != known.failure.error:
        return known
    return replace(known, failing=last, failure=replace(again, function=known.failure.function or again.function))


def _collated_again(crash: _Crash, known: Loading, indices: Sequence[Any], asked: Asked) -> Loading:
    """The first fault of samples that were asked for again."""
    samples = [_from_worker(sample) for sample in asked.samples if sample.failure is None]
    fault = first_fault(samples)
    if fault is None:
        return replace(known, samples=tuple(samples))
    draws = {id(sample): Draw(*each) for sample, *each in zip(samples, indices, asked.states, strict=False)}
    odd = draws[id(fault.odd)]
    cut = cut_in(crash.iterator._dataset, *odd) if fault.mismatch == "shape" else None  # noqa: SLF001 - likewise
    fault = crash.with_lineage(fault, odd, draws.get(id(fault.other)))
    return replace(known, samples=tuple(samples), fault=fault, cut=cut)


def _from_worker(sample: Sample) -> Sample:
    """A sample as a worker must send it: without a graph."""
    return sample if sample.value is None else replace(sample, value=_without_graph(sample.value))


def _without_graph(value: Value) -> Value:
    parts = tuple((key, _without_graph(part)) for key, part in value.parts)
    has_graph = value.meta is not None and value.meta.requires_grad
    return replace(value, parts=parts, unfit=value.unfit or (Unfit.GRAD if has_graph else None))


def _user_collate(iterator: Any) -> str:  # noqa: ANN401 - a private class of torch
    """The name of the collate function, if it is the user's."""
    function = iterator._collate_fn  # noqa: SLF001 - likewise
    if function in (default_collate, _utils.collate.default_convert):
        return ""
    return str(getattr(function, "__name__", type(function).__name__))


def _sampler(iterator: Any) -> str:  # noqa: ANN401 - likewise
    sampler = iterator._index_sampler  # noqa: SLF001 - likewise
    sampler = getattr(sampler, "sampler", sampler)
    if isinstance(sampler, WeightedRandomSampler | SubsetRandomSampler):  # these know of no dataset
        return type(sampler).__name__
    return "" if type(sampler).__module__ == "torch.utils.data.sampler" else kind_of(sampler)
