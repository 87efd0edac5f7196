"""Evaluations: passes over a DataLoader in which nothing is trained, in which mode and over which data they are."""

import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler, Subset, TensorDataset, dataloader

from tensorcheck.events.event import Event
from tensorcheck.events.passes import EvaluatedInTrainMode, TrainingDataEvaluated
from tensorcheck.observe.loader_names import LoaderNames, names_of
from tensorcheck.observe.passes import Evaluation, Pass
from tensorcheck.observe.patches import PATCHES
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.subject import Subject
from tensorcheck.sites import Site

_ITERATOR = dataloader._BaseDataLoaderIter  # noqa: SLF001 - the base of both iterators
_ENOUGH = 2
"""Passes over training data after which it is known what else is evaluated in an epoch."""


@dataclass(eq=False)
class _Known:
    """A loader that was gone through to its end."""

    sampler: weakref.ref[Any]
    dataset: weakref.ref[Any]
    names: LoaderNames
    site: Site | None
    takes_all: bool
    """Whether it goes through all samples of its dataset, in whichever order."""
    is_trained_on: bool = False
    passes: int = 0
    """Evaluations."""
    subjects: list[Subject] = field(default_factory=list)
    """The models that were evaluated."""
    trained: "_Known | None" = None
    """What the training went through last before it was evaluated, if that was the same data."""
    is_told: bool = False


class EvaluationProbe(Probe):
    """Hears every batch, and the end of every pass."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({EvaluatedInTrainMode, TrainingDataEvaluated})

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._known: list[_Known] = []
        self._last_trained: _Known | None = None

    def attach(self, handles: ExitStack) -> None:
        """Patch the iterators' common base."""
        handles.enter_context(PATCHES.patch_attribute(_ITERATOR, "__next__", self))
        handles.callback(self._about_to_close)

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ARG002
        """A batch is on its way to the user."""
        if self.sink.hears_this_thread() and self.sink.wants_dataset(args[0]._dataset):  # noqa: SLF001 - no public name
            self.sink.passes.batch(args[0], self.sink.backwards)

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:  # noqa: ARG002
        """A pass has come to its end; other probes explain what else is raised."""
        if self.is_off or not self.sink.hears_this_thread():
            return
        over = self.sink.passes.over(args[0])
        if isinstance(error, StopIteration) and over is not None:
            self._finished(over)

    def _finished(self, over: Pass) -> None:
        known = self._of(over) if over.evaluated or self.sink.backwards != over.backwards else None
        if known is None:
            return
        if self.sink.backwards != over.backwards:
            known.is_trained_on, self._last_trained = True, known
            return
        for evaluation in over.in_train_mode.values():
            if not known.is_trained_on and evaluation.calls <= over.batches:
                tell_of_mode(self.sink, evaluation, known.names.name)
        known.passes += 1
        last = self._last_trained  # a fold of a cross validation is trained on too, but with other weights
        known.trained = last if last is not None and _is_same_data(last, known) else None
        known.subjects = [each for each in over.evaluated if each.step] or known.subjects
        if known.passes >= _ENOUGH:
            self._tell_of_data(known)

    def _of(self, over: Pass) -> _Known:
        sampler, site = over.sampler(), self.sink.sites.here()
        found = next((each for each in self._known if _is_again(each, over, site)), None)
        if found is None:
            found = _Known(over.sampler, over.dataset, names_of(sampler), site, takes_all(sampler))
            self._known.append(found)
        elif over.evaluated and not found.passes:
            # A loader that is trained on too: what the code says of it counts where it is evaluated.
            found.names, found.site = names_of(sampler), site
        return found

    def _tell_of_data(self, evaluated: _Known) -> None:
        trained = evaluated.trained
        if trained is None or evaluated.is_told:
            return
        evaluated.is_told = True
        others = [each for each in self._known if each.passes and not _is_same_data(trained, each)]
        for subject in evaluated.subjects:
            event = TrainingDataEvaluated(
                step=subject.step,
                loader=evaluated.names.names,
                results=evaluated.names.results,
                functions=evaluated.names.functions,
                trained=trained.names.name,
                is_same=trained is evaluated,
                is_only=not others,
                site=evaluated.site,
                built=evaluated.names.built if trained is not evaluated else None,
            )
            self.sink.emit(event, subject)

    def _about_to_close(self) -> None:
        if not self.is_off:
            for known in self._known:
                if known.passes:
                    self._tell_of_data(known)


def tell_of_mode(sink: Sink, evaluation: Evaluation, over: str) -> None:
    """A model was evaluated in training mode."""
    subject, key = evaluation.subject, ("evaluation", evaluation.subject, evaluation.site)
    if evaluation.layers and not sink.is_known(key):
        event = EvaluatedInTrainMode(
            step=subject.step,
            layers=evaluation.layers,
            over=over,
            is_result_used=evaluation.is_result_used,
            site=evaluation.site,
            uncalled=evaluation.uncalled,
        )
        sink.emit(event, subject, signature=key)


def evaluated_beside(sink: Sink) -> None:
    """A loss was computed after a model was called without gradients and in training mode, on no batch of a loader."""
    evaluation, sink.passes.beside = sink.passes.beside, None
    if evaluation is not None:
        tell_of_mode(sink, evaluation, "")


def _is_again(known: _Known, over: Pass, site: Site | None) -> bool:
    """Whether it is the same loader, or one that was built anew for the next pass of the same loop."""
    sampler, dataset = over.sampler(), over.dataset()
    if sampler is not None and known.sampler() is sampler:
        return True
    is_gone = known.sampler() is None and known.takes_all is takes_all(sampler)
    return is_gone and dataset is not None and known.dataset() is dataset and known.site == site


def _is_same_data(one: _Known, other: _Known) -> bool:
    """Whether two loaders go through all of the same samples."""
    left, right = one.dataset(), other.dataset()
    if one is other:
        return True
    return left is not None and right is not None and one.takes_all and other.takes_all and is_same_dataset(left, right)


def takes_all(sampler: object) -> bool:
    """Whether an index sampler goes through all samples of a dataset, in whichever order."""
    inner = sampler.sampler if isinstance(sampler, BatchSampler) else sampler
    return type(inner) in (SequentialSampler, RandomSampler)


def is_same_dataset(left: object, right: object) -> bool:
    """Whether two datasets hold the very same objects."""
    if left is right:
        return True
    if isinstance(left, TensorDataset) and isinstance(right, TensorDataset):
        return len(left.tensors) == len(right.tensors) and all(map(_is_one, left.tensors, right.tensors))
    if isinstance(left, Subset) and isinstance(right, Subset):
        return left.dataset is right.dataset and left.indices is right.indices
    return False


def _is_one(left: object, right: object) -> bool:
    return left is right
