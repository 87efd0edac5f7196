"""Which dtypes a loss wants, and which operand of a failed call has another.

The facts are from the "Shape" sections of the documentation of `torch.nn` 2.13, and from what the functions refuse.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tensorcheck.calls import FailedCall, Operand

Want = Literal["floats", "class indices", "like the predictions", "lengths"]

_CLASSES: Mapping[str, Want] = {"input": "floats", "target": "class indices", "weight": "like the predictions"}
_LIKE: Mapping[str, Want] = {
    "input": "floats",
    "target": "like the predictions",
    "weight": "like the predictions",
    "pos_weight": "like the predictions",
    "var": "like the predictions",
}
_PAIR: Mapping[str, Want] = {"input1": "floats", "input2": "like the predictions", "target": "like the predictions"}
_TRIPLET: Mapping[str, Want] = {
    "anchor": "floats",
    "positive": "like the predictions",
    "negative": "like the predictions",
}
_LISTS: Mapping[str, Want] = {
    "log_probs": "floats",
    "targets": "lengths",
    "input_lengths": "lengths",
    "target_lengths": "lengths",
}
_WANTS: Mapping[str, Mapping[str, Want]] = {
    "cross_entropy": _CLASSES,
    "nll_loss": _CLASSES,
    "multi_margin_loss": _CLASSES,
    "multilabel_margin_loss": _CLASSES,
    "ctc_loss": _LISTS,
    "cosine_embedding_loss": _PAIR,
    "margin_ranking_loss": _PAIR,
    "triplet_margin_loss": _TRIPLET,
    "triplet_margin_with_distance_loss": _TRIPLET,
}
_INDICES = ("int64", "uint8")
_WHOLE = ("int64", "int32")


@dataclass(frozen=True, slots=True)
class WrongDtype:
    """One operand of a loss, and the dtype that it should have."""

    operand: Operand
    want: Want
    dtype: str
    predictions: Operand
    """What the others are compared with."""

    @property
    def is_predictions(self) -> bool:
        """Whether the predictions themselves are what is wrong."""
        return self.operand is self.predictions


def wrong_dtype_of(call: FailedCall) -> WrongDtype | None:
    """The operand of a loss whose dtype it does not take; targets before predictions, for they are likelier wrong."""
    wants = _WANTS.get(call.function, _LIKE)
    predictions = next((operand for operand in call.operands if wants.get(operand.name) == "floats"), None)
    if predictions is None:
        return None
    wrong = [found for operand in call.operands for found in _wrong(call, operand, predictions, wants)]
    return next(iter(sorted(wrong, key=lambda found: found.is_predictions)), None)


def _wrong(call: FailedCall, operand: Operand, predictions: Operand, wants: Mapping[str, Want]) -> Iterator[WrongDtype]:
    dtype, want = operand.meta.dtype, wants.get(operand.name)
    floating = predictions.meta.dtype if predictions.meta.is_floating_point else "float32"
    if want == "class indices" and _is_one_hot(call, operand, predictions):
        want = "like the predictions"
    match want:
        case "floats" if not operand.meta.is_floating_point:
            yield WrongDtype(operand, want, floating, predictions)
        case "class indices" if dtype not in _INDICES or (dtype == "uint8" and not _takes_bytes(call, predictions)):
            yield WrongDtype(operand, want, "int64", predictions)
        case "lengths" if dtype not in _WHOLE:
            yield WrongDtype(operand, want, "int64", predictions)
        case "like the predictions" if dtype != floating and predictions.meta.is_floating_point:
            yield WrongDtype(operand, want, floating, predictions)


def _takes_bytes(call: FailedCall, predictions: Operand) -> bool:
    """Whether the loss takes classes as uint8, as it does of rows of scores, and not of images of them."""
    return "margin" not in call.function and len(predictions.meta.shape) <= _ROWS


_ROWS = 2


def _is_one_hot(call: FailedCall, operand: Operand, predictions: Operand) -> bool:
    """Whether a target of classes holds a probability for each of them, or a mark."""
    is_soft = call.function == "cross_entropy" and len(operand.meta.shape) > 1
    return is_soft and operand.name == "target" and operand.meta.shape == predictions.meta.shape
