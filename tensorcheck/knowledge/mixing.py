"""What it means that the samples of a batch meet in an operation: by mistake, for statistics, or on purpose."""

from collections.abc import Sequence
from enum import Enum, auto

from tensorcheck.events.backward import LossComputed
from tensorcheck.events.experiment import Culprit, SamplesMixed
from tensorcheck.events.loading import BatchLoaded
from tensorcheck.knowledge.reshapes_by_size import swapped


class Meeting(Enum):
    """How they meet."""

    RECURRENT = auto()
    """A recurrent layer that takes the batch for time."""
    ATTENTION = auto()
    """An attention layer, likewise."""
    RESHAPE = auto()
    """A reshape that puts the elements of other samples into a sample's row."""
    SWAP = auto()
    """A reshape between two dims that were to be swapped."""
    NORMALISING = auto()
    """What makes numbers of a sample depend on those of others, with no sense over a batch: softmax, a norm."""
    STATISTICS = auto()
    """A mean or the like, which may be meant."""
    ON_PURPOSE = auto()
    """What does nothing else: an index, statistics of batch normalisation."""
    OTHER = auto()


_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_ATTENTION = frozenset({"multi_head_attention_forward"})
_RESHAPES = frozenset({"view", "reshape", "flatten", "unflatten", "view_as", "reshape_as"})
_NORMALISING = frozenset(
    ["softmax", "log_softmax", "softmin", "gumbel_softmax", "normalize", "norm", "vector_norm", "renorm", "argmax"]
)
_STATISTICS = frozenset(
    [
        *("mean", "sum", "std", "var", "var_mean", "std_mean", "max", "min", "amax", "amin", "median", "logsumexp"),
        *("nanmean", "prod", "cumsum", "cumprod", "layer_norm", "linalg_norm", "cov", "corrcoef"),
    ]
)
_ON_PURPOSE = frozenset(
    [
        *("__getitem__", "index_select", "gather", "scatter", "scatter_", "scatter_add", "scatter_add_", "index_add"),
        *("index_add_", "scatter_reduce", "scatter_reduce_", "roll", "flip", "take", "take_along_dim", "sort", "topk"),
        *("batch_norm", "instance_norm", "unique", "nonzero", "masked_select", "bincount", "cdist", "sparse_mm"),
        *("_pack_padded_sequence", "_pad_packed_sequence", "pack_padded_sequence", "__setitem__", "spmm", "where"),
        *("index_copy", "index_copy_", "index_put", "index_put_", "masked_scatter", "argsort", "kthvalue"),
    ]
)
_ROWS_ALONE = 2


def meeting_of(culprit: Culprit) -> Meeting:
    """How the samples meet."""
    name = culprit.function
    if name in _RECURRENT:
        return Meeting.RECURRENT
    if name in _ATTENTION:
        return Meeting.ATTENTION if len(culprit.input.shape) > _ROWS_ALONE else Meeting.OTHER
    if name in _RESHAPES:
        is_swap = swapped(culprit.input.shape, culprit.output.shape) is not None
        return Meeting.SWAP if is_swap else Meeting.RESHAPE
    if name in _NORMALISING:
        return Meeting.NORMALISING
    if name in _STATISTICS:
        return Meeting.STATISTICS
    return Meeting.ON_PURPOSE if name in _ON_PURPOSE else Meeting.OTHER


class Batches:
    """What was seen of a run's batches: whether the first dim of what a model was given is that of the samples."""

    def __init__(self) -> None:
        self._loaded: set[int] = set()
        self._targets: set[int] = set()

    def saw(self, event: BatchLoaded | LossComputed) -> None:
        """Learn from what a loader gave, or a loss was given."""
        if isinstance(event, LossComputed):
            self._targets |= set(event.target.meta.shape[:1])
            return
        firsts = {field.meta.shape[0] for field in event.fields if field.meta.shape}
        if event.loader.batch_size is not None and firsts == {event.loader.batch_size}:
            self._loaded |= firsts

    def is_sure(self, event: SamplesMixed, meeting: Meeting) -> bool:
        """Whether what mixed are the samples of a batch, and not the steps of one sequence or the nodes of a graph."""
        if event.batch in self._loaded:
            return True
        has_targets = event.batch in self._targets
        ranks = [len(meta.shape) for meta in event.inputs]
        if not has_targets or min(ranks, default=0) < _ROWS_ALONE:
            return False
        return meeting not in (Meeting.RECURRENT, Meeting.ATTENTION) or _is_one_answer_each(event, ranks)


def _is_one_answer_each(event: SamplesMixed, ranks: Sequence[int]) -> bool:
    """Whether sequences go in and one answer for each comes out, so that the first dim can't be time."""
    culprit = event.culprit
    is_sequence = culprit is not None and len(culprit.input.shape) > _ROWS_ALONE and culprit.input.shape[1] > 1
    answers = [meta for meta in event.outputs if meta.shape]
    return is_sequence and len(answers[:1]) == 1 and len(answers[0].shape) <= _ROWS_ALONE <= min(ranks)
