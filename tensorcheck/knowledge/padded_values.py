"""Which values of a trace still have the positions of a padded tensor, with nothing having masked them."""

from collections.abc import Iterator
from typing import NamedTuple

from tensorcheck.trace import Operation, Origin, Trace

_LOSSES = frozenset(
    {
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "gaussian_nll_loss",
        "huber_loss",
        "kl_div",
        "l1_loss",
        "mse_loss",
        "poisson_nll_loss",
        "smooth_l1_loss",
    }
)
"""Those that compare position with position, and know no class to ignore."""
_MEANS = frozenset({"mean", "adaptive_avg_pool1d"})
_ATTENTION = frozenset(
    {
        "multi_head_attention_forward",
        "scaled_dot_product_attention",
        "MultiheadAttention",
        "TransformerEncoderLayer",
        "TransformerEncoder",
    }
)
"""These keep padding out of the other positions; its own positions are there as before."""
_FROM_PYTHON = frozenset({"tensor", "as_tensor", "asarray", "from_numpy", "frombuffer"})
_CONSTANT = frozenset({Origin.PARAMETER, Origin.BUFFER})


class Padded(NamedTuple):
    """The sizes of a padded tensor, by which what was made of it is known."""

    samples: int
    length: int

    def has_positions(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor has one place for each position, and it is clear which dim they are in."""
        if self.samples * self.length in shape:
            return True
        return shape.count(self.length) == 1 and self.samples in shape and self.samples != self.length


def entered_unmasked(trace: Trace, roots: frozenset[int], padded: Padded) -> Iterator[tuple[Operation, int]]:
    """Each mean and each loss that padding entered, and the value that it came in with."""
    with_padding, from_data, constants = set(roots), {*roots, *_data(trace)}, set(_constants(trace))
    for operation in trace.operations:
        entering = [place for place in operation.inputs if place in with_padding]
        others = [place for place in operation.inputs if place not in with_padding and place not in constants]
        if any(place in from_data for place in operation.inputs) or operation.name in _FROM_PYTHON:
            from_data.update(operation.outputs)
        if operation.inputs and all(place in constants for place in operation.inputs):
            constants.update(operation.outputs)
        is_masked = operation.name not in _ATTENTION and any(
            place in from_data or padded.has_positions(trace.values[place].meta.shape) for place in others
        )
        if not entering or is_masked:
            continue
        if _is_taken_over_all(trace, operation, padded):
            yield operation, entering[0]
        with_padding.update(place for place in operation.outputs if _goes_on(trace, place, padded))


def _data(trace: Trace) -> Iterator[int]:
    """What came from outside, and is no part of the model."""
    for place, value in enumerate(trace.values):
        if value.origin is not None and value.origin not in _CONSTANT:
            yield place


def _constants(trace: Trace) -> Iterator[int]:
    return (place for place, value in enumerate(trace.values) if value.origin in _CONSTANT)


def _goes_on(trace: Trace, place: int, padded: Padded) -> bool:
    """Whether a value has the positions still; what is true or false is a mask, or a count of hits."""
    meta = trace.values[place].meta
    return padded.has_positions(meta.shape) and meta.dtype != "bool"


def _is_taken_over_all(trace: Trace, operation: Operation, padded: Padded) -> bool:
    """Whether it is a mean over the positions or a loss of all of them, and something learns from it."""
    if not operation.outputs:
        return False
    made = trace.values[operation.outputs[0]].meta
    if not made.requires_grad or (operation.name in _LOSSES and made.shape):
        return False
    is_gone = padded.length not in made.shape and padded.samples * padded.length not in made.shape
    return operation.name in _LOSSES | _MEANS and is_gone
