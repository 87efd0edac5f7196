"""The values of what a model is trained on and of what it is evaluated on, measured over a whole pass of each."""

from typing import ClassVar

from tensorcheck.events.event import Event
from tensorcheck.events.passes import EvaluatedOnOtherScale
from tensorcheck.observe.column_spreads import ColumnSpreads
from tensorcheck.observe.data_passes import Data, DataPassProbe
from tensorcheck.observe.loader_names import LoaderNames, names_of
from tensorcheck.observe.subject import Subject


class OtherScaleProbe(DataPassProbe[ColumnSpreads]):
    """Measures the columns of tables and the channels of images."""

    emits: ClassVar[frozenset[type[Event]]] = frozenset({EvaluatedOnOtherScale})

    def fresh(self) -> ColumnSpreads:
        """Nothing measured."""
        return ColumnSpreads()

    def compare(self, trained: Data[ColumnSpreads], evaluated: Data[ColumnSpreads], subject: Subject) -> None:
        """Tell how both are spread, unless they are parts of one dataset, which normalises both alike."""
        left, right = trained.drawn, evaluated.drawn
        is_one = left is not None and right is not None and left[0] is right[0]
        of_training, of_evaluation = trained.seen.spreads, evaluated.seen.spreads
        if is_one or len(of_training) != len(of_evaluation) or not of_training:
            evaluated.is_clean = is_one
            return
        if self.has_clean:  # other data is evaluated as it should be: this is another domain on purpose
            return
        names, trained_names = names_of(evaluated.sampler()), trained.names or LoaderNames()
        event = EvaluatedOnOtherScale(
            step=subject.step,
            loader=names.names,
            trained=trained_names.name,
            is_image=trained.seen.is_image,
            is_continuous=trained.seen.is_continuous and evaluated.seen.is_continuous,
            of_training=of_training,
            of_evaluation=of_evaluation,
            samples=evaluated.seen.samples,
            trained_samples=trained.seen.samples,
            site=self.sink.sites.here(),
            made=names.data or names.built,
            trained_made=trained_names.data or trained_names.built,
        )
        evaluated.is_clean = not self.sink.emit(event, subject)
