"""The mistakes that `tensorcheck train --plant` makes: each recipe differs from the reference in one thing.

They are written as people write them, for a finding is meant to name the very line.
"""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MetricCollection

from tensorcheck.training.dataset import ArrayDataset, LabelledDataset
from tensorcheck.training.embedded import load_digits
from tensorcheck.training.parts import LossFunction
from tensorcheck.training.recipe import Recipe
from tensorcheck.training.settings import RunSettings
from tensorcheck.training.splits import Part


class DoubleDigits(ArrayDataset):
    """Digits as NumPy computes them: dividing integers gives float64."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.features[index] / 16), int(self.labels[index])


class DigitsModel(nn.Module):
    """A convolution, and a head for its features."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 16, kernel_size=3, padding=1), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(16 * 8 * 8, 10)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, 1, 8, 8] to raw scores, [batch, 10]."""
        scores: Tensor = self.head(self.features(images))
        return scores


class WrongDtype(Recipe):
    """The data set hands out float64."""

    def data(self) -> LabelledDataset:
        """The digits, in float64."""
        digits = load_digits()
        return DoubleDigits(digits.features, digits.labels, digits.classes)

    def model(self, train: Part, classes: int) -> nn.Module:  # noqa: ARG002 - Recipe's signature
        """In float32, as every model is by default."""
        return DigitsModel()


class ModelForLargerImages(DigitsModel):
    """The head has the size that it would need for images of 28 by 28 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16 * 28 * 28, 10)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, 1, 28, 28] to raw scores, [batch, 10]."""
        features = self.features(images)
        scores: Tensor = self.head(features)
        return scores


class WrongShape(Recipe):
    """The head is built for another number of features."""

    def model(self, train: Part, classes: int) -> nn.Module:  # noqa: ARG002 - Recipe's signature
        """For images of another size."""
        return ModelForLargerImages()


class ModelOnTwoDevices(DigitsModel):
    """Written for a head on a second device; `meta` stands for one that this machine need not have."""

    def forward(self, images: Tensor) -> Tensor:
        """[batch, 1, 8, 8] to raw scores, [batch, 10]."""
        features = self.features(images)
        scores: Tensor = self.head(features.to("meta"))
        return scores


class WrongDevice(Recipe):
    """The features go to a device where the head is not."""

    def model(self, train: Part, classes: int) -> nn.Module:  # noqa: ARG002 - Recipe's signature
        """Whose head was never moved."""
        return ModelOnTwoDevices()


class Frozen(Recipe):
    """Every parameter stays frozen."""

    def prepare(self, model: nn.Module) -> None:
        """Left over from using the model as a feature extractor."""
        model.requires_grad_(False)


class DetachedModel(DigitsModel):
    """The features are cut off from the loss."""

    def forward(self, images: Tensor) -> Tensor:
        """[batch, 1, 8, 8] to raw scores, [batch, 10]."""
        features = self.features(images)
        scores: Tensor = self.head(features.detach())
        return scores


class Detached(Recipe):
    """The features never learn."""

    def model(self, train: Part, classes: int) -> nn.Module:  # noqa: ARG002 - Recipe's signature
        """Whose forward detaches."""
        return DetachedModel()


class ValueModel(DigitsModel):
    """Predicts a digit's value, as a regression."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16 * 8 * 8, 1)


def squared_error(predictions: Tensor, values: Tensor) -> Tensor:
    """Compare predictions, [batch, 1], with values, [batch]: every one with every other."""
    return nn.functional.mse_loss(predictions, values.float())


class LossBroadcast(Recipe):
    """Predictions [batch, 1] are compared with targets [batch]."""

    def model(self, train: Part, classes: int) -> nn.Module:  # noqa: ARG002 - Recipe's signature
        """A regression."""
        return ValueModel()

    def loss_fn(self) -> LossFunction:
        """The mean of the wrong differences."""
        return squared_error

    def metrics(self, classes: int) -> MetricCollection | None:  # noqa: ARG002 - Recipe's signature
        """None: a value is no class."""
        return None


class NotInOptimizer(Recipe):
    """The optimizer holds the head alone."""

    def model(self, train: Part, classes: int) -> nn.Module:  # noqa: ARG002 - Recipe's signature
        """All of which is meant to learn."""
        return DigitsModel()

    def optimizer(self, model: nn.Module) -> Optimizer:
        """Over a part of the parameters."""
        head = model.get_submodule("head")
        return torch.optim.AdamW(head.parameters(), lr=self.settings.learning_rate)


PLANTED: dict[str, type[Recipe]] = {
    "wrong-dtype": WrongDtype,
    "wrong-shape": WrongShape,
    "wrong-device": WrongDevice,
    "frozen": Frozen,
    "detached": Detached,
    "loss-broadcast": LossBroadcast,
    "not-in-optimizer": NotInOptimizer,
}


def recipe_for(settings: RunSettings) -> Recipe:
    """The reference, or the recipe with the mistake that the settings name.

    >>> type(recipe_for(RunSettings(plant="frozen"))).__name__
    'Frozen'
    """
    return (PLANTED[settings.plant] if settings.plant else Recipe)(settings)
