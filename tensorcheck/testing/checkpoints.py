"""Assertions that a checkpoint holds all that there is to go on from."""

import copy
import io
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tensorcheck.experiment.given_parts import given_of
from tensorcheck.testing.rehearsing import (
    LossFunction,
    Rehearsal,
    called,
    first_difference,
    loss_of,
    rehearsing,
    twin_of,
)
from tensorcheck.testing.training import MakeOptimizer, explained


def assert_checkpoint_round_trip(
    model: nn.Module,
    batch: Any = None,  # noqa: ANN401 - whatever a loader yields
    make_model: Callable[[], nn.Module] | None = None,
) -> None:
    """A model that is loaded from a file of this one's `state_dict` has the same values, and answers a batch alike.

    The file is read with `weights_only=True` and every key has to match. The model that it is loaded into is what
    `make_model` returns, or a copy of which every parameter and buffer was changed; only what is made anew can show
    that a plain attribute is missing in the file.

    >>> assert_checkpoint_round_trip(nn.Linear(4, 2), torch.randn(8, 4), lambda: nn.Linear(4, 2))
    """
    __tracebackhide__ = True
    with rehearsing(model, batch) as rehearsal:
        saved = rehearsal.model.state_dict()
        loaded = make_model() if make_model is not None else _disturbed(twin_of(model))
        _load(loaded, _through_a_file(saved))
        _refuse_difference(model, "the state", dict(saved), dict(loaded.state_dict()))
        if batch is not None:
            with explained():
                rehearsal.model.eval()
                answer = rehearsal.evaluated()
                other = Rehearsal(loaded.eval(), rehearsal.given).evaluated()
            _refuse_difference(model, "the answer", answer, other)


def _disturbed(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if isinstance(tensor, Tensor):
                tensor.copy_(torch.logical_not(tensor) if tensor.dtype is torch.bool else tensor + 1)
    return model


def _through_a_file(state: Any) -> Any:  # noqa: ANN401 - whatever state dicts hold
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    try:
        return torch.load(file, weights_only=True)
    except Exception as error:
        first = str(error).split("\n", maxsplit=1)[0]
        msg = f"the state can't be read again with weights_only=True: {first}"
        raise AssertionError(msg) from error


def _load(model: nn.Module, state: Any) -> None:  # noqa: ANN401 - likewise
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        msg = f"the state can't be loaded into a new `{type(model).__name__}`: {error}"
        raise AssertionError(msg) from error


def _refuse_difference(model: nn.Module, what: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    __tracebackhide__ = True
    left, right = ({name: each for name, each in side.items() if isinstance(each, Tensor)} for side in (one, other))
    difference = first_difference(left, right)
    if difference is not None:
        msg = f"{what} of `{type(model).__name__}` is another after it was loaded\n  {difference} (saved, loaded)"
        raise AssertionError(msg)


def assert_resume_equivalent(  # noqa: PLR0913 - each may be left out
    model: nn.Module,
    batches: Any,  # noqa: ANN401 - a batch, or several
    loss_fn: LossFunction | None = None,
    *,
    optimizer: MakeOptimizer | None = None,
    scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    steps: tuple[int, int] = (3, 3),
) -> None:
    """Training in one go and training that is saved, loaded and resumed end with the same weights to the last bit.

    What is saved are the state dicts of model, optimizer (by default Adam) and scheduler, and PyTorch's random numbers.
    They are loaded into a copy of the model as it is given, as a new process would. `batches` is a batch, or a list of
    them that is gone through again and again.

    >>> assert_resume_equivalent(nn.Linear(4, 1), (torch.randn(8, 4), torch.randn(8, 1)), nn.MSELoss())
    """
    __tracebackhide__ = True
    several = batches if isinstance(batches, list) else [batches]
    make = optimizer or (lambda parameters: torch.optim.Adam(parameters, lr=1e-3))
    with rehearsing(model, several[0], loss_fn) as rehearsal, explained():
        first, second = steps
        whole = _Training(rehearsal.model, make, scheduler, several, loss_fn)
        torch.manual_seed(0)
        whole.go_on(first + second)
        begun = _Training(twin_of(model), make, scheduler, several, loss_fn)
        torch.manual_seed(0)
        begun.go_on(first)
        saved = _through_a_file(begun.state())
        resumed = _Training(twin_of(model), make, scheduler, several, loss_fn)
        resumed.load(saved)
        resumed.go_on(second)
    difference = first_difference(dict(whole.model.state_dict()), dict(resumed.model.state_dict()))
    if difference is not None:
        ends = f"`{type(model).__name__}` ends elsewhere when its training is resumed"
        msg = f"{ends} after {first} of {first + second} steps\n  {difference} (in one go, resumed)"
        raise AssertionError(msg)


class _Training:
    """A training that can be saved and resumed."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: MakeOptimizer,
        scheduler: Callable[[Optimizer], LRScheduler] | None,
        batches: Sequence[Any],
        loss_fn: LossFunction | None,
    ) -> None:
        self.model = model.train()
        self._optimizer = optimizer([each for each in model.parameters() if each.requires_grad])
        self._scheduler = scheduler(self._optimizer) if scheduler is not None else None
        self._batches = batches
        self._loss_fn = loss_fn
        self._step = 0

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            given = given_of(
                self.model, self._batches[self._step % len(self._batches)], has_loss=self._loss_fn is not None
            )
            self._optimizer.zero_grad()
            loss_of(called(self.model, given), given.target, self._loss_fn).backward()
            self._optimizer.step()
            if self._scheduler is not None:
                self._scheduler.step()
            self._step += 1

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "scheduler": self._scheduler.state_dict() if self._scheduler is not None else {},
            "random": torch.get_rng_state(),
            "step": self._step,
        }

    def load(self, state: dict[str, Any]) -> None:
        _load(self.model, state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["random"])
        self._step = state["step"]
