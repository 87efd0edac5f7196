"""Learning-rate schedules, each with the moment at which it has to be stepped."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CyclicLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from tensorcheck.training.errors import TrainingError

Interval = Literal["step", "epoch"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduler of PyTorch and when to call its `step`: after each optimizer step or after each epoch.

    With `metric`, the scheduler is given that value of the finished epoch, as `ReduceLROnPlateau` wants it.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    >>> Schedule.of(ReduceLROnPlateau(optimizer)).metric
    'val_loss'
    """

    scheduler: LRScheduler
    interval: Interval = "epoch"
    metric: str | None = None

    @classmethod
    def of(cls, scheduler: LRScheduler) -> "Schedule":
        """The usual moment for a scheduler: it follows from its class."""
        match scheduler:
            case ReduceLROnPlateau():
                return cls(scheduler, "epoch", metric="val_loss")
            case OneCycleLR() | CyclicLR():
                return cls(scheduler, "step")
            case _:
                return cls(scheduler, "epoch")

    def step_taken(self) -> None:
        """The optimizer has stepped."""
        if self.interval == "step":
            self.scheduler.step()

    def epoch_finished(self, values: Mapping[str, float]) -> None:
        """An epoch is over, with these values of its losses and metrics."""
        match self.interval, self.metric:
            case "epoch", None:
                self.scheduler.step()
            case "epoch", str(metric):
                self.scheduler.step(_value(values, metric))  # type: ignore[arg-type]  # a plateau's step takes a metric


def _value(values: Mapping[str, float], metric: str) -> float:
    if metric not in values:
        msg = f"a schedule waits for the metric {metric!r}, but an epoch has {', '.join(values)}"
        raise TrainingError(msg)
    return values[metric]


AnySchedule = Schedule | LRScheduler | Sequence[Schedule | LRScheduler] | None


def as_schedules(scheduler: AnySchedule) -> tuple[Schedule, ...]:
    """What was given to `fit`, as a tuple of schedules."""
    if scheduler is None:
        return ()
    schedulers = scheduler if isinstance(scheduler, Sequence) else (scheduler,)
    return tuple(each if isinstance(each, Schedule) else Schedule.of(each) for each in schedulers)


def warm_up_factor(step: int, warm_up: int) -> float:
    """Grow linearly from 1 / (warm_up + 1) at step 0 to 1 at step `warm_up`.

    >>> [warm_up_factor(step, 3) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / (warm_up + 1))


def cosine_factor(step: int, total: int) -> float:
    """Fall from 1 at step 0 to 0 at step `total` along half a cosine (Loshchilov and Hutter, arXiv:1608.03983).

    >>> [round(cosine_factor(step, 4), 2) for step in range(5)]
    [1.0, 0.85, 0.5, 0.15, 0.0]
    """
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a training will be, which most schedules need to know.

    >>> Plan(epochs=3, steps_an_epoch=10, warm_up_epochs=1).total
    30
    """

    epochs: int
    steps_an_epoch: int
    warm_up_epochs: int = 0

    @property
    def total(self) -> int:
        """Optimizer steps in the whole training."""
        return self.epochs * self.steps_an_epoch

    @property
    def warm_up(self) -> int:
        """Optimizer steps in which the learning rate grows."""
        return self.warm_up_epochs * self.steps_an_epoch


def cosine(optimizer: Optimizer, plan: Plan) -> tuple[Schedule, ...]:
    """After the warm-up, down to 0 along a cosine; stepped with the optimizer."""

    def factor(step: int) -> float:
        after = cosine_factor(max(0, step - plan.warm_up), max(1, plan.total - plan.warm_up))
        return warm_up_factor(step, plan.warm_up) * after

    return (Schedule(LambdaLR(optimizer, factor), "step"),)


def step(optimizer: Optimizer, plan: Plan) -> tuple[Schedule, ...]:
    """A tenth of the learning rate after each third of the epochs."""
    return (*warm_up(optimizer, plan), Schedule(StepLR(optimizer, step_size=max(1, math.ceil(plan.epochs / 3)))))


def plateau(optimizer: Optimizer, plan: Plan) -> tuple[Schedule, ...]:
    """Half of the learning rate whenever the validation loss has not fallen for more than two epochs."""
    on_plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    return (*warm_up(optimizer, plan), Schedule.of(on_plateau))


def one_cycle(optimizer: Optimizer, plan: Plan) -> tuple[Schedule, ...]:
    """Up to the learning rate and down again, with the momentum the other way (Smith and Topin, arXiv:1708.07120)."""
    peak = plan.warm_up_epochs / plan.epochs if plan.warm_up_epochs else 0.3
    rates = [group["lr"] for group in optimizer.param_groups]
    return (Schedule(OneCycleLR(optimizer, rates, total_steps=plan.total + 1, pct_start=peak), "step"),)


def constant(optimizer: Optimizer, plan: Plan) -> tuple[Schedule, ...]:
    """The learning rate as it is, after the warm-up."""
    return warm_up(optimizer, plan)


def warm_up(optimizer: Optimizer, plan: Plan) -> tuple[Schedule, ...]:
    """Grow linearly to the learning rate; it multiplies what the schedule beside it does."""
    if not plan.warm_up:
        return ()
    first = warm_up_factor(0, plan.warm_up)
    return (Schedule(LinearLR(optimizer, start_factor=first, total_iters=plan.warm_up), "step"),)


SCHEDULES = {"cosine": cosine, "step": step, "plateau": plateau, "one-cycle": one_cycle, "none": constant}


def make_schedule(name: str, optimizer: Optimizer, plan: Plan) -> tuple[Schedule, ...]:
    """The schedule of this name: cosine, step, plateau, one-cycle or none.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    >>> make_schedule("cosine", optimizer, Plan(epochs=2, steps_an_epoch=5))[0].interval
    'step'
    """
    if plan.warm_up_epochs >= plan.epochs:
        msg = f"a warm-up of {plan.warm_up_epochs} epochs leaves none of {plan.epochs} to train in"
        raise TrainingError(msg)
    return SCHEDULES[name](optimizer, plan)
