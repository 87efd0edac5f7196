"""Assertions of what a model's answers depend on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.experiment.given_parts import Given
from tensorcheck.testing.rehearsing import Rehearsal, first_difference, rehearsing, tensors_of
from tensorcheck.testing.training import explained, explanation

_MOST_SAMPLES = 8
_MOST_POSITIONS = 16


def assert_batch_independent(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    *,
    rtol: float = 1e-4,
    atol: float = 1e-5,
) -> None:
    """The answer for a sample does not depend on the other samples of its batch, in evaluation mode.

    Each of the first eight samples keeps its place while all others are exchanged. The batch needs two samples at
    least, unlike each other; outputs count whose first size is that of the batch.

    >>> assert_batch_independent(nn.Linear(4, 2), torch.randn(8, 4))
    """
    __tracebackhide__ = True
    with rehearsing(model, batch) as rehearsal, explained():
        rehearsal.model.eval()
        samples = _several_samples(rehearsal)
        whole = rehearsal.evaluated()
        for sample in range(min(samples, _MOST_SAMPLES)):
            other = rehearsal.evaluated(_with_others(rehearsal, sample))
            difference = first_difference(
                _rows(whole, sample, samples), _rows(other, sample, samples), rtol=rtol, atol=atol
            )
            if difference is not None:
                msg = (
                    f"the answer of `{type(model).__name__}` for sample {sample} depends on the other samples\n"
                    f"  {difference} (as given, with other samples beside it)"
                )
                raise AssertionError(msg)


def _several_samples(rehearsal: Rehearsal) -> int:
    samples = rehearsal.samples
    inputs = [each for each in rehearsal.inputs.values() if each.dim() and each.size(0) == samples]
    if samples < 2 or all(torch.equal(each, each[:1].expand_as(each)) for each in inputs):  # noqa: PLR2004 - a pair
        msg = f"batch: two samples are needed that are unlike each other, and it has {samples}"
        raise ValueError(msg)
    return samples


def _with_others(rehearsal: Rehearsal, sample: int) -> Given:
    """The batch with each other sample replaced by one that is elsewhere in it, this one by none."""
    samples = rehearsal.samples
    index = torch.tensor([sample if row == sample else (row + 1) % samples for row in range(samples)])
    return rehearsal.with_inputs(
        lambda each: each[index.to(each.device)] if each.dim() and each.size(0) == samples else each
    )


def _rows(outputs: dict[str, Tensor], sample: int, samples: int) -> dict[str, Tensor]:
    return {name: each[sample] for name, each in outputs.items() if each.dim() and each.size(0) == samples}


def assert_causal(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    *,
    dim: int = 1,
    rtol: float = 1e-4,
    atol: float = 1e-5,
) -> None:
    """The answer at a position does not depend on what comes after it, in evaluation mode.

    Positions are counted along `dim` of inputs and outputs, by default 1: `[batch, position, ...]`. What comes after
    each of at most 16 positions is exchanged.

    >>> class Sums(nn.Module):
    ...     def forward(self, x):
    ...         return x.cumsum(1)
    >>> assert_causal(Sums(), torch.randn(2, 6))
    """
    __tracebackhide__ = True
    with rehearsing(model, batch) as rehearsal, explained():
        rehearsal.model.eval()
        length = max((each.size(dim) for each in rehearsal.inputs.values() if each.dim() > dim), default=0)
        if length < 2:  # noqa: PLR2004 - a position and one after it
            msg = f"batch: no input has two positions in dim {dim}"
            raise ValueError(msg)
        whole = rehearsal.evaluated()
        for position in _spread(length - 1):
            other = rehearsal.evaluated(_with_other_future(rehearsal, position, length, dim))
            before = [
                {name: each.narrow(dim, 0, position + 1) for name, each in outputs.items() if _has(each, dim, length)}
                for outputs in (whole, other)
            ]
            difference = first_difference(*before, rtol=rtol, atol=atol)
            if difference is not None:
                msg = (
                    f"the answer of `{type(model).__name__}` up to position {position} depends on what comes after it\n"
                    f"  {difference} (as given, with another future)"
                )
                raise AssertionError(msg)


def _has(tensor: Tensor, dim: int, length: int) -> bool:
    return tensor.dim() > dim and tensor.size(dim) == length


def _spread(count: int) -> list[int]:
    """At most so many positions, evenly spread, the first and the last among them."""
    if count <= _MOST_POSITIONS:
        return list(range(count))
    return sorted({round(step * (count - 1) / (_MOST_POSITIONS - 1)) for step in range(_MOST_POSITIONS)})


def _with_other_future(rehearsal: Rehearsal, position: int, length: int, dim: int) -> Given:
    def change(tensor: Tensor) -> Tensor:
        if not _has(tensor, dim, length):
            return tensor
        changed = tensor.detach().clone()
        changed.narrow(dim, position + 1, length - position - 1).copy_(
            _other_values(tensor).narrow(dim, position + 1, length - position - 1)
        )
        return changed

    return rehearsal.with_inputs(change)


def _other_values(tensor: Tensor) -> Tensor:
    """Values of the same kind that are others everywhere: of class or word numbers, others among those that occur."""
    if tensor.dtype is torch.bool:
        return tensor  # a mask: what it hides is another question
    if tensor.is_floating_point() or tensor.is_complex():
        return torch.randn_like(tensor) + tensor.detach().mean()
    known: Tensor = tensor.unique()
    if known.numel() == 1:
        return torch.where(tensor > 0, tensor - 1, tensor)
    places = torch.searchsorted(known, tensor)
    return known[(places + 1) % known.numel()]


def assert_depends_on_input(model: nn.Module, batch: Any) -> None:  # noqa: ANN401 - whatever a loader yields
    """The answer changes with each input alone, in evaluation mode; masks and whole numbers that can't differ aside.

    >>> class Forgetful(nn.Module):
    ...     def forward(self, x, y):
    ...         return x + 0 * y
    >>> assert_depends_on_input(Forgetful(), (torch.randn(2, 3), torch.randn(2, 3)))
    Traceback (most recent call last):
    AssertionError: the answer of `Forgetful` does not depend on its input `y`
    """
    __tracebackhide__ = True
    with rehearsing(model, batch) as rehearsal, explained():
        rehearsal.model.eval()
        whole = rehearsal.evaluated()
        for name, tensor in rehearsal.inputs.items():
            torch.manual_seed(1)
            other = _other_values(tensor)
            if torch.equal(other, tensor):
                continue
            changed = rehearsal.with_inputs(
                lambda each, tensor=tensor, other=other: other if each is tensor else each  # type: ignore[misc]
            )
            if first_difference(whole, rehearsal.evaluated(changed)) is None:
                msg = f"the answer of `{type(model).__name__}` does not depend on its input `{name}`"
                raise AssertionError(msg)


def assert_deterministic(model: nn.Module, batch: Any) -> None:  # noqa: ANN401 - whatever a loader yields
    """The same input gives the same answer to the last bit in evaluation mode, whatever the random numbers.

    The first module whose own answer differs is named.

    >>> assert_deterministic(nn.Sequential(nn.Linear(4, 4), nn.Dropout()), torch.randn(8, 4))
    """
    __tracebackhide__ = True
    with rehearsing(model, batch) as rehearsal, explained():
        rehearsal.model.eval()
        answers = []
        parts: list[list[tuple[str, dict[str, Tensor]]]] = []
        for seed in (0, 1):
            with _answers_of_parts(rehearsal.model) as heard:
                answers.append(rehearsal.evaluated(seed=seed))
            parts.append(heard)
        difference = first_difference(*answers)
    if difference is not None:
        pairs = zip(*parts, strict=False)
        first = next((path for (path, one), (_, other) in pairs if first_difference(one, other) is not None), "")
        where = f"\n  the first module whose answer differs: `{first}`" if first else ""
        msg = f"`{type(model).__name__}` answers twice in two ways\n  {difference}{where}"
        raise AssertionError(msg)


@contextmanager
def _answers_of_parts(model: nn.Module) -> Iterator[list[tuple[str, dict[str, Tensor]]]]:
    """Within, what each module returns is kept, in the order in which they return."""
    heard: list[tuple[str, dict[str, Tensor]]] = []
    handles = []
    for path, module in model.named_modules():
        if path:

            def hear(_: object, __: object, output: object, path: str = path) -> None:
                heard.append((path, {name: each.detach().clone() for name, each in tensors_of(output).items()}))

            handles.append(module.register_forward_hook(hear))
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def assert_eval_matches_train_shapes(model: nn.Module, batch: Any) -> None:  # noqa: ANN401 - whatever a loader yields
    """The answers have the same structure, shapes and dtypes in training and in evaluation mode.

    >>> assert_eval_matches_train_shapes(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), torch.randn(8, 4))
    """
    __tracebackhide__ = True
    with rehearsing(model, batch) as rehearsal, explained():
        rehearsal.model.train()
        trained = {name: _shown(each) for name, each in rehearsal.evaluated().items()}
        rehearsal.model.eval()
        evaluated = {name: _shown(each) for name, each in rehearsal.evaluated().items()}
    wrong = [name for name in trained | evaluated if trained.get(name) != evaluated.get(name)]
    if wrong:
        name = wrong[0]
        there, here = trained.get(name, "missing"), evaluated.get(name, "missing")
        msg = (
            f"`{type(model).__name__}` answers in two forms\n  `{name}` is {there} in training and {here} in evaluation"
        )
        raise AssertionError(msg)


def _shown(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def assert_handles_batch_sizes(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    sizes: Sequence[int] = (1, 2, 7),
    *,
    loss_fn: Callable[[Any, Any], Tensor] | None = None,
) -> None:
    """The model answers batches of each size, in the mode in which it is, and its answers are as many.

    Samples are repeated or left out to make the sizes. With a loss function the loss has to be computed too.

    >>> assert_handles_batch_sizes(nn.Linear(4, 2), torch.randn(8, 4), [1, 3])
    """
    __tracebackhide__ = True
    with rehearsing(model, batch, loss_fn) as rehearsal:
        samples = rehearsal.samples
        kept = [name for name, each in _answer(rehearsal, rehearsal.given).items() if _has(each, 0, samples)]
        for size in sizes:
            given = rehearsal.with_batch(_resized(samples, size))
            try:
                outputs = _answer(rehearsal, given)
            except Exception as error:
                msg = f"`{type(model).__name__}` fails with a batch of {size}: {error}{explanation(error)}"
                raise AssertionError(msg) from error
            wrong = [name for name in kept if name not in outputs or not _has(outputs[name], 0, size)]
            if wrong:
                shown = _shown(outputs[wrong[0]]) if wrong[0] in outputs else "missing"
                msg = f"`{type(model).__name__}` answers a batch of {size} with `{wrong[0]}`, which is {shown}"
                raise AssertionError(msg)


def _answer(rehearsal: Rehearsal, given: Given) -> dict[str, Tensor]:
    if rehearsal.loss_fn is not None:
        rehearsal.loss(given)
    return rehearsal.evaluated(given)


def _resized(samples: int, size: int) -> Callable[[Tensor], Tensor]:
    rows = torch.arange(size) % max(samples, 1)
    return lambda each: each[rows.to(each.device)] if each.dim() and each.size(0) == samples else each
