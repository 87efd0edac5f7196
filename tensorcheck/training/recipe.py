"""How a run is cooked from its settings: one method for each thing that a training needs.

A planted mistake is a recipe that differs in one of them (`plants.py`).
"""

from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer
from torchmetrics import MetricCollection

from tensorcheck.training.dataset import LabelledDataset
from tensorcheck.training.metrics import classification_metrics
from tensorcheck.training.model import classifier_for
from tensorcheck.training.parts import LossFunction
from tensorcheck.training.settings import RunSettings
from tensorcheck.training.sources import read_data
from tensorcheck.training.splits import Part


class Recipe:
    """The reference run.

    >>> recipe = Recipe(RunSettings(optimizer="sgd"))
    >>> type(recipe.optimizer(nn.Linear(4, 1))).__name__
    'SGD'
    """

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings

    def data(self) -> LabelledDataset:
        """The samples."""
        path = Path(self.settings.data) if self.settings.data is not None else None
        return read_data(path, label=self.settings.label, image_size=self.settings.image_size)

    def model(self, train: Part, classes: int) -> nn.Module:
        """A model for these samples."""
        return classifier_for(train, len(train), classes)

    def prepare(self, model: nn.Module) -> None:
        """What is done to the model before its optimizer is made: nothing."""

    def loss_fn(self) -> LossFunction:
        """Cross-entropy, which takes raw scores; smoothed labels keep a small model from being too sure."""
        return nn.CrossEntropyLoss(label_smoothing=0.1)

    def optimizer(self, model: nn.Module) -> Optimizer:
        """The optimizer of this name, over all parameters."""
        lr = self.settings.learning_rate
        match self.settings.optimizer:
            case "sgd":
                return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True)
            case "adam":
                return torch.optim.Adam(model.parameters(), lr=lr)
            case "rmsprop":
                return torch.optim.RMSprop(model.parameters(), lr=lr)
            case _:
                return torch.optim.AdamW(model.parameters(), lr=lr)

    def metrics(self, classes: int) -> MetricCollection | None:
        """What is measured beside the loss."""
        return classification_metrics(classes)
