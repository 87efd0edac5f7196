"""Samples that a model is trained on and evaluated on: by their places in one dataset, or else by their values."""

from typing import ClassVar

from tensorcheck.events.event import Event
from tensorcheck.events.passes import SamplesLeaked
from tensorcheck.observe.data_passes import Data, DataPassProbe
from tensorcheck.observe.evaluations import takes_all
from tensorcheck.observe.loader_names import LoaderNames, names_of
from tensorcheck.observe.sample_digests import SampleDigests
from tensorcheck.observe.subject import Subject

_FEWEST = 5
_SHARE, _SHARE_OF_ALIKE = 0.1, 0.4
"""How many of the evaluated samples are no chance; the second where the training itself has equal samples."""
_ALIKE = 0.02


class LeakedSampleProbe(DataPassProbe[SampleDigests]):
    """Looks at each sample once."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({SamplesLeaked})

    def fresh(self) -> SampleDigests:
        """No sample."""
        return SampleDigests()

    def compare(self, trained: Data[SampleDigests], evaluated: Data[SampleDigests], subject: Subject) -> None:
        """Tell of what is in both."""
        shared, samples, of_training, by_index = _shared(trained, evaluated)
        evaluated.is_clean = shared < _FEWEST
        if evaluated.is_clean:
            return
        names, trained_names = names_of(evaluated.sampler()), trained.names or LoaderNames()
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
            is_only=not self.has_clean,
            takes_everything=by_index and _is_of_all(trained, evaluated),
            site=self.sink.sites.here(),
            made=names.data or names.built,
            trained_made=trained_names.built,
        )
        self.sink.emit(event, subject)


def _is_of_all(trained: Data[SampleDigests], evaluated: Data[SampleDigests]) -> bool:
    """Whether the training goes through the whole dataset that the evaluation is a part of."""
    drawn = evaluated.drawn
    return takes_all(trained.sampler()) and drawn is not None and drawn[0] is trained.dataset()


def _shared(trained: Data[SampleDigests], evaluated: Data[SampleDigests]) -> tuple[int, int, float, bool]:
    """How many evaluated samples are trained on, of how many, which share of the training they are; by place or not."""
    left, right = trained.drawn, evaluated.drawn
    if left is not None and right is not None and left[0] is right[0]:
        both = left[1] & right[1]
        return len(both), len(right[1]), len(both) / max(len(left[1]), 1), True
    seen, met = trained.seen, evaluated.seen
    same = seen.known.keys() & met.known.keys()
    shared = sum(met.known[each] for each in same)
    is_chance = seen.repeated > _ALIKE and not seen.is_real
    least = _SHARE if seen.repeated <= _ALIKE else _SHARE_OF_ALIKE
    is_few = shared < least * max(met.count, 1)
    is_few = is_few or len(same) < _FEWEST
    return 0 if is_chance or is_few else shared, met.count, len(same) / max(len(seen.known), 1), False
