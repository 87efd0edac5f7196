"""What DataLoaders go through, as far as a training's and an evaluation's passes are to be compared."""

import weakref
from abc import abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch.utils.data import IterableDataset, dataloader

from tensorcheck.observe.drawn_samples import Drawn, drawn_samples
from tensorcheck.observe.evaluations import is_same_dataset, takes_all
from tensorcheck.observe.loader_names import LoaderNames, names_of
from tensorcheck.observe.passes import Pass, weakly
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators
_DEAD: weakref.ref[Any] = weakref.ref(type("_Gone", (), {})())


class Seen(Protocol):
    """What was noted of the samples of a pass."""

    def add(self, batch: object) -> None:
        """Take one more batch."""


S = TypeVar("S", bound=Seen)


@dataclass(eq=False)
class Data(Generic[S]):
    """What one DataLoader went through."""

    sampler: weakref.ref[Any]
    dataset: weakref.ref[Any]
    seen: S
    """What was noted of its samples."""
    iterator: weakref.ref[Any] = _DEAD
    steps: dict[Subject, int] = field(default_factory=dict)
    """How many steps each model had taken before the first batch of the pass."""
    over: Pass | None = None
    is_whole: bool = False
    """Whether all of a pass was looked at."""
    is_clean: bool = False
    """Whether it was evaluated, and is as it should be."""
    names: LoaderNames | None = None

    @property
    def drawn(self) -> Drawn | None:
        """Its samples as places in a dataset."""
        dataset, sampler = self.dataset(), self.sampler()
        return drawn_samples(dataset, sampler) if dataset is not None and sampler is not None else None


class DataPassProbe(Probe, Generic[S]):
    """Looks at each batch of a DataLoader's first pass, and compares at the end of an evaluation."""

    @abstractmethod
    def fresh(self) -> S:
        """What notes the samples of one more loader."""

    @abstractmethod
    def compare(self, trained: Data[S], evaluated: Data[S], subject: Subject) -> None:
        """A trained model was evaluated on a whole pass over other data than it was trained on last."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._data: weakref.WeakKeyDictionary[Any, Data[S]] = weakref.WeakKeyDictionary()
        """By the samplers, of which each loader has its own."""
        self._trained: dict[Subject, Data[S]] = {}
        """What each model was trained on last."""
        self._compared: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Data[S]]] = weakref.WeakKeyDictionary()

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
                data.seen.add(result)

    def _of(self, iterator: Any) -> Data[S]:  # noqa: ANN401 - a private class of torch
        sampler = iterator._index_sampler  # noqa: SLF001 - likewise
        data = self._data.get(sampler)
        if data is None:
            data = self._data[sampler] = Data[S](weakly(sampler), weakly(iterator._dataset), self.fresh())  # noqa: SLF001 - likewise
        if data.over is None or data.iterator() is not iterator:
            data.iterator = weakref.ref(iterator)
            data.steps = {subject: subject.step for subject in self.sink.subjects}
        return data

    def _learn(self, data: Data[S]) -> bool:
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
                self._compare_once(trained, data, subject)

    def _compare_once(self, trained: Data[S], evaluated: Data[S], subject: Subject) -> None:
        known = self._compared.setdefault(evaluated.sampler(), weakref.WeakSet())
        if trained not in known and not _is_same(trained, evaluated):
            known.add(trained)
            self.compare(trained, evaluated, subject)

    @property
    def has_clean(self) -> bool:
        """Whether any data was evaluated that is as it should be."""
        return any(each.is_clean for each in self._data.values())


def _is_same(trained: Data[S], evaluated: Data[S]) -> bool:
    """Whether both go through all of the same dataset, which another rule is about."""
    left, right = trained.dataset(), evaluated.dataset()
    both = takes_all(trained.sampler()) and takes_all(evaluated.sampler())
    return both and left is not None and right is not None and is_same_dataset(left, right)
