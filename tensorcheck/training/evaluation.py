"""Measuring a model on data that it does not learn from."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection

from tensorcheck.training.batches import as_pair, to_device
from tensorcheck.training.errors import TrainingError
from tensorcheck.training.parts import LossFunction
from tensorcheck.training.precision import MixedPrecision


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The mean loss over the samples, and the metrics."""

    loss: float
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


def evaluate(
    model: nn.Module,
    loader: DataLoader[Any],
    *,
    loss_fn: LossFunction,
    metrics: MetricCollection | None = None,
    mixed: MixedPrecision | None = None,
) -> Evaluation:
    """Run a model over a loader, without gradients, dropout or changes to BatchNorm; its mode is put back afterwards.

    >>> loader = DataLoader([(torch.ones(1), torch.ones(1))])
    >>> evaluate(nn.Identity(), loader, loss_fn=nn.functional.mse_loss).loss
    0.0
    """
    mixed = mixed or MixedPrecision("fp32", torch.device("cpu"))
    loss_sum, samples = torch.zeros((), device=mixed.device), 0
    if metrics is not None:
        metrics.reset()
    with evaluating(model), torch.inference_mode(), mixed.autocast():
        for batch in loader:
            inputs, targets = to_device(as_pair(batch), mixed.device)
            outputs = model(inputs)
            loss_sum += loss_fn(outputs, targets) * len(targets)
            samples += len(targets)
            if metrics is not None:
                metrics.update(outputs.float(), targets)
    if not samples:
        msg = "the loader to evaluate on is empty"
        raise TrainingError(msg)
    return Evaluation(float(loss_sum) / samples, dict(metrics.compute()) if metrics is not None else {})


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for a while.

    >>> model = nn.Dropout()
    >>> with evaluating(model): model.training
    False
    >>> model.training
    True
    """
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
