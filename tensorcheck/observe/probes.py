"""Which probes there are, and which of them a session needs."""

from collections.abc import Iterator

from tensorcheck.observe.activation_looks import ActivationProbe
from tensorcheck.observe.backward import BackwardProbe
from tensorcheck.observe.call_order import CallOrderProbe
from tensorcheck.observe.changing_fields import ChangingFieldProbe
from tensorcheck.observe.dropouts import DropoutProbe
from tensorcheck.observe.dropped_results import DroppedResultProbe
from tensorcheck.observe.equality_looks import EqualityProbe
from tensorcheck.observe.evaluations import EvaluationProbe
from tensorcheck.observe.exponent_looks import ExponentProbe
from tensorcheck.observe.followed import FollowedOptimizers
from tensorcheck.observe.foreign_files import ForeignFileProbe
from tensorcheck.observe.freezing import FreezeProbe
from tensorcheck.observe.gradient_flow import GradientFlowProbe
from tensorcheck.observe.half_gradients import HalfGradientProbe
from tensorcheck.observe.half_totals import HalfTotalProbe
from tensorcheck.observe.indices import IndexProbe
from tensorcheck.observe.kept_graphs import KeptGraphProbe
from tensorcheck.observe.kept_weights import KeptWeightsProbe
from tensorcheck.observe.label_order import LabelOrderProbe
from tensorcheck.observe.later_traces import LaterTraceProbe
from tensorcheck.observe.leaked_samples import LeakedSampleProbe
from tensorcheck.observe.learning_rates import LearningRateProbe
from tensorcheck.observe.loaded_dtypes import LoadedDtypeProbe
from tensorcheck.observe.loaded_in_vain import LoadedInVainProbe
from tensorcheck.observe.loaders import LoaderProbe
from tensorcheck.observe.loss_functions import LOSSES
from tensorcheck.observe.losses import LossProbe
from tensorcheck.observe.lost_numbers import LostNumberProbe
from tensorcheck.observe.metrics import MetricProbe
from tensorcheck.observe.mode_calls import ModeProbe
from tensorcheck.observe.models import ModelProbe
from tensorcheck.observe.new_layers import NewLayerProbe
from tensorcheck.observe.number_looks import NumberProbe
from tensorcheck.observe.optimizers import ModuleZeroGradProbe, OptimizerProbe, ZeroGradProbe, subjects_of
from tensorcheck.observe.other_scales import OtherScaleProbe
from tensorcheck.observe.paddings import PaddingProbe
from tensorcheck.observe.partly_loaded import PartlyLoadedProbe
from tensorcheck.observe.probe import Probe, Sink
from tensorcheck.observe.recording import RecordingProbe
from tensorcheck.observe.resuming import ResumeProbe
from tensorcheck.observe.rounded_indices import RoundedIndexProbe
from tensorcheck.observe.saved_by_name import SavedByNameProbe
from tensorcheck.observe.saved_by_ranks import SavedByRankProbe
from tensorcheck.observe.scaling import ScalingProbe
from tensorcheck.observe.schedulers import SchedulerProbe
from tensorcheck.observe.schedules import ScheduleProbe
from tensorcheck.observe.traced_modes import TracedModeProbe
from tensorcheck.observe.vanished_updates import VanishedUpdateProbe
from tensorcheck.observe.worker_seeds import WorkerProbe
from tensorcheck.observe.zero_looks import ZeroProbe


def all_probes(sink: Sink) -> Iterator[Probe]:
    """A fresh probe of each kind, and of those that watch one model or one function, one for each."""
    optimizers = FollowedOptimizers(lambda optimizer: subjects_of(sink, optimizer), sink.subjects)
    yield from _of_gradients(sink, optimizers)
    yield from _of_data(sink)
    yield from _of_numbers(sink, optimizers)
    yield from _of_schedules(sink, optimizers)
    yield from _of_files(sink)
    yield CallOrderProbe(sink, optimizers)
    for subject in sink.subjects:
        yield ModelProbe(sink, subject)
    for function in LOSSES:
        yield LossProbe(sink, function)


def _of_gradients(sink: Sink, optimizers: FollowedOptimizers) -> Iterator[Probe]:
    yield OptimizerProbe(sink, optimizers)
    yield ZeroGradProbe(sink, optimizers)
    yield BackwardProbe(sink, optimizers)
    yield GradientFlowProbe(sink, optimizers)
    yield LostNumberProbe(sink)
    yield KeptGraphProbe(sink, optimizers)
    yield NewLayerProbe(sink, optimizers)


def _of_data(sink: Sink) -> Iterator[Probe]:
    yield LoaderProbe(sink)
    yield EvaluationProbe(sink)
    yield LeakedSampleProbe(sink)
    yield OtherScaleProbe(sink)
    yield LabelOrderProbe(sink)
    yield PaddingProbe(sink)
    yield ChangingFieldProbe(sink)
    yield WorkerProbe(sink)
    yield MetricProbe(sink)
    yield DropoutProbe(sink)


def _of_numbers(sink: Sink, optimizers: FollowedOptimizers) -> Iterator[Probe]:
    yield NumberProbe(sink)
    yield DroppedResultProbe(sink)
    yield ActivationProbe(sink, optimizers)
    yield ZeroProbe(sink)
    yield ExponentProbe(sink)
    yield EqualityProbe(sink)
    yield RoundedIndexProbe(sink)
    yield IndexProbe(sink)
    yield RecordingProbe(sink)
    yield LaterTraceProbe(sink)
    yield HalfGradientProbe(sink)
    yield HalfTotalProbe(sink)
    yield VanishedUpdateProbe(sink, optimizers)


def _of_schedules(sink: Sink, optimizers: FollowedOptimizers) -> Iterator[Probe]:
    yield ScalingProbe(sink)
    yield SchedulerProbe(sink, optimizers)
    yield ScheduleProbe(sink, optimizers)
    yield LearningRateProbe(sink, optimizers)
    yield FreezeProbe(sink)
    yield ModuleZeroGradProbe(sink)
    yield ModeProbe(sink)


def _of_files(sink: Sink) -> Iterator[Probe]:
    yield KeptWeightsProbe(sink)
    yield PartlyLoadedProbe(sink)
    yield ResumeProbe(sink)
    yield LoadedInVainProbe(sink)
    yield LoadedDtypeProbe(sink)
    yield SavedByNameProbe(sink)
    yield TracedModeProbe(sink)
    yield SavedByRankProbe(sink)
    yield ForeignFileProbe(sink)
