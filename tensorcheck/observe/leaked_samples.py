"""Samples that a model is trained on and evaluated on: by their places in one dataset, or else by their values."""

import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch.utils.data import IterableDataset, dataloader

from tensorcheck.events.event import Event
from tensorcheck.events.passes import SamplesLeaked
from tensorcheck.observe.drawn_samples import Drawn, drawn_samples
from tensorcheck.observe.evaluations import is_same_dataset, takes_all
from tensorcheck.observe.loader_names import LoaderNames, names_of
from tensorcheck.observe.passes import Pass, weakly
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.sample_digests import SampleDigests
from tensorcheck.observe.subject import Subject

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators
_FEWEST = 5
_SHARE, _SHARE_OF_ALIKE = 0.1, 0.4
"""How many of the evaluated samples are no chance; the second where the training itself has equal samples."""
_ALIKE = 0.02
_DEAD: weakref.ref[Any] = weakref.ref(type("_Gone", (), {})())


@dataclass(eq=False)
class _Data:
    """What one DataLoader went through."""

    sampler: weakref.ref[Any]
    dataset: weakref.ref[Any]
    iterator: weakref.ref[Any] = _DEAD
    steps: dict[Subject, int] = field(default_factory=dict)
    """How many steps each model had taken before the first batch of the pass."""
    digests: SampleDigests = field(default_factory=SampleDigests)
    over: Pass | None = None
    is_whole: bool = False
    """Whether all of a pass was looked at."""
    is_clean: bool = False
    """Whether it was evaluated, and nothing in it was trained on."""
    names: LoaderNames | None = None

    @property
    def drawn(self) -> Drawn | None:
        """Its samples as places in a dataset."""
        dataset, sampler = self.dataset(), self.sampler()
        return drawn_samples(dataset, sampler) if dataset is not None and sampler is not None else None


class LeakedSampleProbe(Probe):
    """Looks at each sample of a DataLoader's first pass, and compares at the end of an evaluation."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SamplesLeaked})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._data: weakref.WeakKeyDictionary[Any, _Data] = weakref.WeakKeyDictionary()
        """By the samplers, of which each loader has its own."""
        self._trained: dict[Subject, _Data] = {}
        """What each model was trained on last."""
        self._compared: weakref.WeakKeyDictionary[Any, list[weakref.ref[Any]]] = weakref.WeakKeyDictionary()

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        iterator = args[0]
        if not self.sink.hears_this_thread() or isinstance(iterator._dataset, IterableDataset):  # noqa: SLF001 - no public name
            return
        if not self.sink.wants_dataset(iterator._dataset):  # noqa: SLF001 - likewise
            return
        data = self._of(iterator)
        self._learn(data)
        data.over = self.sink.passes.current
        if not data.is_whole:
            with torch._C.DisableTorchFunction():  # noqa: SLF001 - a user's mode must not see us look
                data.digests.add(result)

    def _of(self, iterator: Any) -> _Data:  # noqa: ANN401 - a private class of torch
        sampler = iterator._index_sampler  # noqa: SLF001 - likewise
        data = self._data.get(sampler)
        if data is None:
            data = self._data[sampler] = _Data(weakly(sampler), weakly(iterator._dataset))  # noqa: SLF001 - likewise
        if data.over is None or data.iterator() is not iterator:
            data.iterator = weakref.ref(iterator)
            data.steps = {subject: subject.step for subject in self.sink.subjects}
        return data

    def _learn(self, data: _Data) -> bool:
        """Note which models stepped in this pass; whether any did."""
        moved = [each for each in self.sink.subjects if each.step != data.steps.get(each, 0)]
        for subject in moved:
            self._trained[subject] = data
        if moved and data.names is None:
            data.names = names_of(data.sampler())
        return bool(moved)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """A pass has come to its end; other probes explain what else is raised."""
        data = self._data.get(args[0]._index_sampler)  # noqa: SLF001 - likewise
        if data is None or data.over is None or not isinstance(error, StopIteration) or self.is_off:
            return
        over, data.over, data.is_whole = data.over, None, True
        if self._learn(data):
            return
        for subject in over.evaluated:
            trained = self._trained.get(subject)
            if trained is not None and trained is not data:
                self._compare(trained, data, subject)

    def _compare(self, trained: _Data, evaluated: _Data, subject: Subject) -> None:
        sampler, other = evaluated.sampler(), trained.sampler()
        known = self._compared.setdefault(sampler, [])
        if other is None or any(each() is other for each in known) or _is_told_elsewhere(trained, evaluated):
            return
        known.append(weakref.ref(other))
        shared, samples, of_training, by_index = _shared(trained, evaluated)
        evaluated.is_clean = shared < _FEWEST
        if evaluated.is_clean:
            return
        names, trained_names = names_of(sampler), trained.names or LoaderNames()
        whole = evaluated.drawn
        event = SamplesLeaked(
            step=subject.step,
            loader=names.names,
            results=names.results,
            functions=names.functions,
            trained=trained_names.name,
            samples=samples,
            shared=shared,
            of_training=of_training,
            by_index=by_index,
            is_only=not any(each.is_clean for each in self._data.values()),
            takes_everything=by_index and takes_all(other) and whole is not None and whole[0] is trained.dataset(),
            site=self.sink.sites.here(),
            made=names.data or names.built,
            trained_made=trained_names.built,
        )
        self.sink.emit(event, subject)


def _is_told_elsewhere(trained: _Data, evaluated: _Data) -> bool:
    """Whether both go through all of the same dataset, which another rule is about."""
    left, right = trained.dataset(), evaluated.dataset()
    both = takes_all(trained.sampler()) and takes_all(evaluated.sampler())
    return both and left is not None and right is not None and is_same_dataset(left, right)


def _shared(trained: _Data, evaluated: _Data) -> tuple[int, int, float, bool]:
    """How many evaluated samples are trained on, of how many, which share of the training they are; by place or not."""
    left, right = trained.drawn, evaluated.drawn
    if left is not None and right is not None and left[0] is right[0]:
        both = left[1] & right[1]
        return len(both), len(right[1]), len(both) / max(len(left[1]), 1), True
    seen, met = trained.digests, evaluated.digests
    same = seen.known.keys() & met.known.keys()
    shared = sum(met.known[each] for each in same)
    is_chance = seen.repeated > _ALIKE and not seen.is_real
    least = _SHARE if seen.repeated <= _ALIKE else _SHARE_OF_ALIKE
    is_few = shared < least * max(met.count, 1)
    is_few = is_few or len(same) < _FEWEST
    return 0 if is_chance or is_few else shared, met.count, len(same) / max(len(seen.known), 1), False
