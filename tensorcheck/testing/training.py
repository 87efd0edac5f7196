"""Assertions that a model can be trained."""

import fnmatch
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tensorcheck.experiment.given_parts import Given
from tensorcheck.testing.rehearsing import LossFunction, Rehearsal, first_difference, rehearsing

MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]

_RATES = (1e-2, 1e-3, 1e-4)
"""The learning rates of Adam that are tried until the loss falls: a deep model may not bear the first."""
_MOST = 8


def assert_trains(  # noqa: PLR0913 - each may be left out
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    loss_fn: LossFunction | None = None,
    *,
    optimizer: MakeOptimizer | None = None,
    steps: int = 20,
    except_for: Iterable[str] = (),
) -> None:
    """The loss of one batch falls when a copy is trained on it, and what should move does.

    Every parameter that requires a gradient receives one and changes, and no other changes. `except_for` names those
    that may stay, by their dotted paths or by patterns of them (`decoder.*`). The copy is trained in training mode with
    the optimizer that `optimizer` makes of its parameters, by default Adam with the first learning rate of 0.01, 0.001
    and 0.0001 that works. Without a loss function the model returns its loss itself.

    >>> model = nn.Linear(4, 2)
    >>> model.bias.requires_grad_(False).fill_(0.0).shape
    torch.Size([2])
    >>> assert_trains(model, (torch.randn(8, 4), torch.randint(2, (8,))), nn.CrossEntropyLoss())
    """
    __tracebackhide__ = True
    makers = [optimizer] if optimizer is not None else [_adam(rate) for rate in _RATES]
    failures: list[str] = []
    for make in makers:
        with rehearsing(model, batch, loss_fn) as rehearsal, explained():
            before = {name: each.detach().clone() for name, each in rehearsal.model.named_parameters()}
            losses, graded = _train(rehearsal, make, steps)
        failures = list(_failures(rehearsal.model, before, losses, graded, tuple(except_for)))
        if not failures:
            return
    told = "" if optimizer is not None else f"\n  tried: Adam with the learning rates {', '.join(map(str, _RATES))}"
    raise AssertionError(f"`{type(model).__name__}` does not train on this batch\n  " + "\n  ".join(failures) + told)


def _adam(rate: float) -> MakeOptimizer:
    return lambda parameters: torch.optim.Adam(parameters, lr=rate)


def _train(rehearsal: Rehearsal, make: MakeOptimizer, steps: int) -> tuple[list[float], set[str]]:
    """The loss before each step, and which parameters received a gradient."""
    model = rehearsal.model.train()
    trained = [each for each in model.parameters() if each.requires_grad]
    if not trained:
        msg = f"every parameter of `{type(model).__name__}` is frozen"
        raise AssertionError(msg)
    optimizer = make(trained)
    losses, graded = [], set()
    for step in range(steps):
        optimizer.zero_grad()
        loss = rehearsal.loss(seed=step)
        losses.append(float(loss.detach()))
        if not loss.requires_grad:
            msg = "no parameter leads to the loss: it requires no gradient"
            raise AssertionError(msg)
        loss.backward()
        graded |= {name for name, each in model.named_parameters() if each.grad is not None}
        optimizer.step()
    return losses, graded


def _failures(
    model: nn.Module, before: dict[str, Tensor], losses: Sequence[float], graded: set[str], patterns: tuple[str, ...]
) -> Iterator[str]:
    after = dict(model.named_parameters())
    wanted = [name for name, each in after.items() if each.requires_grad and not _is_named(name, patterns)]
    yield from _of_loss(losses)
    yield from _listed("received no gradient", [name for name in wanted if name not in graded])
    still = [name for name in wanted if name in graded and torch.equal(after[name], before[name])]
    yield from _listed("did not move", still)
    frozen = [name for name, each in after.items() if not each.requires_grad]
    yield from _listed("moved, and is frozen", [name for name in frozen if not torch.equal(after[name], before[name])])


def _of_loss(losses: Sequence[float]) -> Iterator[str]:
    bad = next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if bad is not None:
        yield f"the loss is {losses[bad]} in step {bad}"
    elif len(losses) > 1 and min(losses[1:]) >= losses[0]:
        yield f"the loss does not fall: it was {losses[0]:.4g} and is {losses[-1]:.4g} after {len(losses)} steps"


def _listed(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        yield f"{what}: {', '.join(names[:_MOST])}{more}"


def _is_named(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) or name.startswith(f"{pattern}.") for pattern in patterns)


def assert_all_parameters_receive_gradients(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    loss_fn: LossFunction | None = None,
    *,
    except_for: Iterable[str] = (),
) -> None:
    """After one backward pass every parameter that requires a gradient has one.

    `except_for` names those that may go without, as for `assert_trains`.

    >>> assert_all_parameters_receive_gradients(nn.Linear(4, 1), (torch.zeros(8, 4), torch.zeros(8, 1)), nn.MSELoss())
    """
    __tracebackhide__ = True
    with rehearsing(model, batch, loss_fn) as rehearsal, explained():
        with _hearing(rehearsal.model.train()) as called:
            loss = rehearsal.loss()
        if loss.requires_grad:
            loss.backward()
    patterns = tuple(except_for)
    missed = [
        (name, called)
        for name, each in rehearsal.model.named_parameters()
        if each.requires_grad and each.grad is None and not _is_named(name, patterns)
    ]
    if missed:
        uncalled = [name for name, _ in missed if name.rpartition(".")[0] not in called]
        lost = [name for name, _ in missed if name not in uncalled]
        lines = [
            *_listed("no gradient, and their module was not called", uncalled),
            *_listed("no gradient, although their module was called", lost),
        ]
        msg = f"{len(missed)} of the parameters of `{type(model).__name__}` received no gradient\n  "
        raise AssertionError(msg + "\n  ".join(lines))


@contextmanager
def _hearing(model: nn.Module) -> Iterator[set[str]]:
    """Within, the dotted paths of the modules that are called are collected."""
    called: set[str] = set()
    with ExitStack() as handles:
        for path, module in model.named_modules():
            handle = module.register_forward_pre_hook(lambda *_, path=path: called.add(path))
            handles.callback(handle.remove)
        yield called


def assert_initial_loss(
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    loss_fn: LossFunction | None = None,
    expected: float | None = None,
    *,
    rtol: float = 0.25,
) -> None:
    """The loss of an untrained model is what an untrained model's should be.

    Without `expected` that is the logarithm of the number of classes, for outputs `[batch, classes, ...]` with targets
    of class numbers `[batch, ...]`: each class is as likely as another, so that cross-entropy is ln(classes).

    >>> model = nn.Linear(4, 10)
    >>> assert_initial_loss(model, (torch.zeros(8, 4), torch.arange(8)), nn.CrossEntropyLoss())
    """
    __tracebackhide__ = True
    with rehearsing(model, batch, loss_fn) as rehearsal, explained(), torch.no_grad():
        rehearsal.model.eval()
        outputs = rehearsal.outputs()
        loss = float(rehearsal.loss())
    wanted, why = (expected, "") if expected is not None else _of_chance(outputs, rehearsal.given)
    if not math.isclose(loss, wanted, rel_tol=rtol):
        begins = f"the loss of `{type(model).__name__}` begins at {loss:.4g}"
        msg = f"{begins}\n  expected: {wanted:.4g} within {rtol:.0%}{why}"
        raise AssertionError(msg)


def _of_chance(outputs: object, given: Given) -> tuple[float, str]:
    target = given.target
    is_class = isinstance(target, Tensor) and not (target.is_floating_point() or target.is_complex())
    if isinstance(outputs, Tensor) and is_class and outputs.dim() == target.dim() + 1:
        classes = outputs.size(1 if outputs.dim() > 1 else 0)
        return math.log(classes), f", which is ln({classes})"
    msg = "expected: it is needed, for these are no outputs [batch, classes] with targets of class numbers [batch]"
    raise TypeError(msg)


def assert_accumulation_equivalent(  # noqa: PLR0913 - each may be left out
    model: nn.Module,
    batch: Any,  # noqa: ANN401 - whatever a loader yields
    loss_fn: LossFunction | None = None,
    *,
    parts: int = 2,
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> None:
    """The gradients of a batch are those of its parts, accumulated and averaged.

    They are not where a layer takes statistics of its batch, or where the loss is no mean over the samples. Dropout is
    off, for it would be another in each part.

    >>> batch = (torch.randn(8, 4), torch.randn(8, 1))
    >>> assert_accumulation_equivalent(nn.Linear(4, 1), batch, nn.MSELoss())
    """
    __tracebackhide__ = True
    with rehearsing(model, batch, loss_fn) as rehearsal, explained():
        _without_dropout(rehearsal.model.train())
        samples = rehearsal.samples
        if samples < parts:
            msg = f"parts: {parts} of them need at least as many samples, and the batch has {samples}"
            raise ValueError(msg)
        whole = _gradients(rehearsal, [(rehearsal.given, 1.0)])
        bounds = [samples * part // parts for part in range(parts + 1)]
        pieces = [(_piece(rehearsal, start, end), (end - start) / samples) for start, end in pairwise(bounds)]
        together = _gradients(rehearsal, pieces)
    difference = first_difference(whole, together, rtol=rtol, atol=atol)
    if difference is not None:
        of_batch = [path for path, each in model.named_modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001
        why = f"\n  `{of_batch[0]}` takes statistics of its batch" if of_batch else ""
        msg = f"the gradients of {parts} parts are not those of the batch\n  {difference} (whole, parts){why}"
        raise AssertionError(msg)


def _without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):  # noqa: SLF001 - the base of all of them
            module.eval()
        elif isinstance(getattr(module, "dropout", None), float):  # of attention and of recurrent layers
            setattr(module, "dropout", 0.0)  # noqa: B010 - a module's own attribute, of which its class says nothing


def _piece(rehearsal: Rehearsal, start: int, end: int) -> Given:
    samples = rehearsal.samples
    return rehearsal.with_batch(lambda each: each[start:end] if each.dim() and each.size(0) == samples else each)


def _gradients(rehearsal: Rehearsal, pieces: Sequence[tuple[Given, float]]) -> dict[str, Tensor]:
    rehearsal.model.zero_grad(set_to_none=True)
    for given, weight in pieces:
        (rehearsal.loss(given) * weight).backward()
    return {f"{name}.grad": each.grad for name, each in rehearsal.model.named_parameters() if each.grad is not None}


@contextmanager
def explained() -> Iterator[None]:
    """What the model raises within is explained in a note, as `tensorcheck.explain` would."""
    __tracebackhide__ = True
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        note = explanation(error)
        if note and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


def explanation(error: Exception) -> str:
    """The findings of an exception, as text; empty where no rule knows it."""
    from tensorcheck.explaining import explain  # noqa: PLC0415 - seldom needed
    from tensorcheck.render.text import finding_text  # noqa: PLC0415 - likewise

    try:
        findings = explain(error).findings
    except Exception:  # noqa: BLE001 - the exception itself is what counts
        return ""
    return "\n".join(f"\n{finding_text(finding)}" for finding in findings)
