"""Which shapes a loss wants beside the shape of its predictions, and what of a failed call has another.

The facts are from the "Shape" sections of the documentation of `torch.nn` 2.13.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.contracts import target_form
from tensorcheck.fixes import ChangeOperand, Fix
from tensorcheck.knowledge.reshaping import enclosed, reshapings

Shape = tuple[int, ...]

_WORDS = {"input": "predictions", "input_": "inputs", "target": "targets", "target_": "targets"}
_REFERENCES = {
    "cosine_embedding_loss": "input1",
    "margin_ranking_loss": "input1",
    "triplet_margin_loss": "anchor",
    "triplet_margin_with_distance_loss": "anchor",
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """One operand of a loss that does not fit another."""

    operand: Operand
    beside: Operand
    headlines: tuple[str, ...]
    """From the fullest to the shortest."""
    wanted: str
    """The operand as it should be: `int64[8]`."""
    note: str = ""
    fixes: tuple[Fix, ...] = ()
    is_of_batch: bool = False
    """Whether nothing but the first dim is meant."""


def misfits(call: FailedCall) -> Iterator[Misfit]:
    """The operands of a loss whose shapes do not fit, the likeliest first."""
    if call.function == "ctc_loss":
        yield from _of_ctc(call)
        return
    given, target = _pair(call)
    if given is None:
        return
    if target is not None:
        form = target_form(call.function) == "class indices" or call.function == "AdaptiveLogSoftmaxWithLoss"
        yield from _of_classes(call, given, target) if form else _of_like(call, given, target)
    for operand, wanted in _others(call, given):
        yield _misfit(call, operand, given, wanted)


def _pair(call: FailedCall) -> tuple[Operand | None, Operand | None]:
    reference = _REFERENCES.get(call.function, "input")
    return call.operand(reference) or call.operand("input_"), call.operand("target") or call.operand("target_")


def _of_classes(call: FailedCall, given: Operand, target: Operand) -> Iterator[Misfit]:
    """Of a loss over classes: predictions of [batch, classes, ...] and an index for each but the classes."""
    shape, aims = given.meta.shape, target.meta.shape
    is_soft = call.function == "cross_entropy" and target.meta.is_floating_point
    wanted = shape if is_soft else (shape[0], *shape[2:]) if len(shape) > 1 else ()
    is_one_hot = aims == shape and len(shape) > 1
    if aims == wanted or is_one_hot:
        return
    if len(aims) == 1 and len(shape) < 2:  # noqa: PLR2004 - predictions without a dim of classes
        yield _without_classes(call, given, target)
    elif len(shape) == len(aims) + 1 and shape[:1] != aims[:1]:
        yield _other_batch(call, given, target)
    elif len(shape) > 2 and aims in (shape[:-1], (math.prod(shape[:-1]),)):  # noqa: PLR2004 - other dims come first
        yield _classes_last(call, given, target)
    else:
        yield _misfit(call, target, given, wanted)


def _without_classes(call: FailedCall, given: Operand, target: Operand) -> Misfit:
    is_sample = given.meta.shape not in ((), target.meta.shape)
    got, aims = f"`{call.function}` got predictions of {_sizes(given)}", f"for targets of {_sizes(target)}"
    return Misfit(
        given,
        target,
        (f"{got}, {'one sample' if is_sample else 'no classes'}, {aims}", f"{got} {aims}"),
        f"{given.meta.dtype}[{target.meta.shape[0]}, classes]",
        note="likely: a `squeeze`, a `mean` or an index took the dim of the batch or of the classes away",
    )


def _other_batch(call: FailedCall, given: Operand, target: Operand) -> Misfit:
    came, aims = given.meta.shape[0], target.meta.shape[0]
    is_reshaped = came > aims > 0 and math.prod(given.meta.shape) % aims == 0 and call.kind == "loss"
    return Misfit(
        given,
        target,
        (f"`{call.function}` got {came} {_word(given)} but {aims} targets",),
        f"{given.meta.dtype}[{', '.join(map(str, (aims, *given.meta.shape[1:])))}]",
        note="likely: a `view` or `reshape` with -1 took its number for the size of the batch" if is_reshaped else "",
        is_of_batch=True,
    )


def _classes_last(call: FailedCall, given: Operand, target: Operand) -> Misfit:
    sizes = given.meta.shape
    wanted = (sizes[0], sizes[-1], *sizes[1:-1])
    moved = Fix(f"{enclosed(given.spelled)}.movedim(-1, 1)", (ChangeOperand(given.name, "movedim", (-1, 1)),))
    flat = Fix(
        f"{enclosed(given.spelled)}.flatten(0, -2), {enclosed(target.spelled)}.flatten()",
        (ChangeOperand(given.name, "flatten", (0, -2)), ChangeOperand(target.name, "flatten")),
    )
    return Misfit(
        given,
        target,
        (
            f"`{call.function}` got its classes in dim {len(sizes) - 1} of {_sizes(given)} but takes them in dim 1",
            f"`{call.function}` got its classes in dim {len(sizes) - 1} but takes them in dim 1",
        ),
        f"{given.meta.dtype}{list(wanted)}",
        fixes=(moved, flat) if given.site is not None and target.site is not None else (),
    )


def _of_like(call: FailedCall, given: Operand, target: Operand) -> Iterator[Misfit]:
    """Of a loss that compares number with number; the embeddings' targets have one for each row."""
    shape = given.meta.shape
    wanted = shape[:-1] if call.function == "cosine_embedding_loss" else shape
    if target.meta.shape != wanted:
        misfit = _misfit(call, target, given, wanted)
        is_cast = given.meta.is_floating_point and not target.meta.is_floating_point
        fixes = tuple(_cast(fix, given, target) for fix in misfit.fixes)
        yield replace(misfit, wanted=f"{given.meta.dtype}{list(wanted)}", fixes=fixes) if is_cast else misfit


def _cast(fix: Fix, given: Operand, target: Operand) -> Fix:
    """The fix with a cast of the target: what a loss refuses next after a shape is an integer."""
    cast = ChangeOperand(target.name, "to", (f"torch.{given.meta.dtype}",))
    first = fix.edits[0]
    is_of_target = isinstance(first, ChangeOperand) and first.operand == target.name
    return Fix(f"{fix.help}.to(torch.{given.meta.dtype})", (*fix.edits, cast)) if is_of_target else fix


def _others(call: FailedCall, given: Operand) -> Iterator[tuple[Operand, Shape]]:
    """What else a loss compares with its predictions, with the shape that it should have."""
    shape = given.meta.shape
    for name in ("input2", "positive", "negative"):
        other = call.operand(name)
        if other is not None and len(other.meta.shape) != len(shape):
            yield other, shape
    variance = call.operand("var")
    if variance is not None and variance.meta.shape not in (shape, shape[:-1], (*shape[:-1], 1)):
        yield variance, shape
    for name in ("weight", "pos_weight"):
        weight = call.operand(name)
        if weight is not None and not _fits(call, weight.meta.shape, shape):
            yield weight, _weights(call, shape)


def _weights(call: FailedCall, shape: Shape) -> Shape:
    return shape[1:2] or shape if target_form(call.function) == "class indices" else shape[-1:]


def _fits(call: FailedCall, weight: Shape, shape: Shape) -> bool:
    if target_form(call.function) == "class indices":
        return weight == _weights(call, shape)
    pairs = zip(reversed(weight), reversed(shape), strict=False)
    return len(weight) <= len(shape) and all(size in (1, other) for size, other in pairs)


def _of_ctc(call: FailedCall) -> Iterator[Misfit]:
    """Log-probabilities of [steps, batch, classes], targets of [batch, longest], and the lengths of both."""
    given, targets = call.operand("log_probs"), call.operand("targets")
    if given is None or len(given.meta.shape) != _CTC_RANK:
        return
    steps, batch, _ = given.meta.shape
    for name, whole in (("input_lengths", given), ("target_lengths", targets)):
        lengths = call.operand(name)
        if lengths is None or whole is None:
            continue
        longest = steps if whole is given else whole.meta.shape[-1]
        if lengths.meta.shape != (batch,):
            fact = f"`ctc_loss` got {lengths.meta.shape[0]} `{name}` for a batch of {batch}"
            yield Misfit(lengths, given, (fact,), f"{lengths.meta.dtype}[{batch}]")
        elif lengths.high is not None and lengths.high > longest:
            unit = "steps" if whole is given else "columns of targets"
            fact = f"`ctc_loss` got `{name}` up to {lengths.high} but {longest} {unit}"
            yield Misfit(lengths, whole, (fact,), f"{lengths.meta.notation} of at most {longest}")


_CTC_RANK = 3


def _misfit(call: FailedCall, operand: Operand, beside: Operand, wanted: Shape) -> Misfit:
    back = reshapings(beside, operand.meta.shape) if wanted == beside.meta.shape else ()
    return Misfit(
        operand,
        beside,
        (
            f"`{call.function}` got {_word(operand)} of {_sizes(operand)} but {_word(beside)} of {_sizes(beside)}",
            f"`{call.function}` got {_word(operand)} of {_sizes(operand)}",
        ),
        f"{operand.meta.dtype}{list(wanted)}",
        fixes=(*reshapings(operand, wanted), *back),
    )


def _word(operand: Operand) -> str:
    return _WORDS.get(operand.name, f"`{operand.name}`")


def _sizes(operand: Operand) -> str:
    return str(list(operand.meta.shape))
