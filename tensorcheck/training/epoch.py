"""One pass over the training data: the order of its few lines is what the classic errors get wrong."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tensorcheck.training.batches import Batch, groups_of, to_device
from tensorcheck.training.callbacks import StepReport
from tensorcheck.training.errors import TrainingError
from tensorcheck.training.parts import Parts


def train_epoch(parts: Parts, epoch: int, step_taken: Callable[[StepReport], None]) -> float:
    """Train on every batch once; the mean loss over the samples.

    The loss is summed on the device and read once, at the end: reading a value makes the program wait for the device.
    """
    parts.model.train()  # evaluation has left dropout off and BatchNorm's averages fixed
    loss_sum = torch.zeros((), device=parts.device)
    samples = batches = 0
    for group in groups_of(parts.train_loader, parts.grad_accumulation):
        lr = parts.lr
        loss_sum += train_step(parts, group)
        samples += samples_in(group)
        batches += len(group)
        step_taken(StepReport(epoch, batches, loss_sum, samples, lr))
    if not samples:
        msg = f"train_loader was empty in epoch {epoch}"
        raise TrainingError(msg)
    return float(loss_sum) / samples


def train_step(parts: Parts, group: list[Batch]) -> Tensor:
    """Add up the gradients of a group of batches and let the optimizer step once; the loss summed over the samples.

    Each batch counts by its share of the group's samples. So the step is the one that a single large batch would have
    made, also for the last group of an epoch, which may have fewer batches, and its last batch fewer samples.
    """
    parts.optimizer.zero_grad(set_to_none=True)
    total = samples_in(group)
    loss_sum = torch.zeros((), device=parts.device)
    for batch in group:
        inputs, targets = to_device(batch, parts.device)
        with parts.mixed.autocast():
            loss = parts.loss_fn(parts.model(inputs), targets)
        check_loss(loss)
        parts.mixed.backward(loss * (len(targets) / total))
        loss_sum += loss.detach() * len(targets)
    take_step(parts)
    return loss_sum


def take_step(parts: Parts) -> None:
    """Unscale, clip, step, and only then move the learning rate."""
    parts.mixed.scaler.unscale_(parts.optimizer)  # the norm is meant to be that of the true gradients
    if parts.clip_grad_norm is not None:
        nn.utils.clip_grad_norm_(parts.model.parameters(), parts.clip_grad_norm)
    if parts.mixed.step(parts.optimizer):
        for schedule in parts.schedules:
            schedule.step_taken()


def check_loss(loss: Any) -> None:  # noqa: ANN401 - whatever a user's loss returns
    """Raise `TrainingError` for a loss that is no single number that came from the model."""
    if not isinstance(loss, Tensor):
        msg = f"loss_fn returned a {type(loss).__name__}; a tensor is needed, so that gradients can flow back"
        raise TrainingError(msg)
    if loss.numel() != 1:
        msg = f"loss_fn returned {list(loss.shape)} values; one number is needed, such as their mean (reduction='mean')"
        raise TrainingError(msg)


def samples_in(group: list[Batch]) -> int:
    """How many samples a group of batches has.

    >>> samples_in([(torch.zeros(3, 8), torch.zeros(3)), (torch.zeros(2, 8), torch.zeros(2))])
    5
    """
    return sum(len(targets) for _, targets in group)
