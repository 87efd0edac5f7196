"""The models of the reference run: one for images, one for rows of numbers, and two layers made by hand."""

import math

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

SAMPLES_MEASURED = 512


class Standardize(nn.Module):
    """Shift and scale each channel to mean 0 and deviation 1, by what was measured on training data.

    Both are buffers: they move with the model and are saved with it, but are not trained. So whoever loads the model
    feeds it what the data set holds and need not know how it was scaled.

    >>> Standardize(mean=torch.tensor([10.0]), deviation=torch.tensor([2.0]))(torch.tensor([[14.0]]))
    tensor([[2.]])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    @classmethod
    def measured(cls, dataset: Dataset[tuple[Tensor, int]], size: int) -> "Standardize":
        """Measure the first samples of a data set of this size, [channels, ...] each; a constant one isn't scaled."""
        samples = torch.stack([dataset[index][0] for index in range(min(size, SAMPLES_MEASURED))])
        but_channels = [dim for dim in range(samples.dim()) if dim != 1]
        # In float64, where squares of large values do not overflow.
        deviation, mean = torch.std_mean(samples.double(), dim=but_channels, keepdim=True, correction=0)
        deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
        return cls(mean[0].float(), deviation[0].float())

    def forward(self, samples: Tensor) -> Tensor:
        """[batch, channels, ...] to the same shape."""
        return (samples - self.mean) / self.deviation


class ChannelScale(nn.Module):
    """Multiply each channel with a factor that is learned.

    A layer by hand: wrapped in `nn.Parameter` and assigned to an attribute, a tensor becomes a parameter, which
    `parameters()`, `state_dict()` and `to()` see.

    >>> [name for name, _ in ChannelScale(3, dims=2).named_parameters()]
    ['factor']
    """

    def __init__(self, channels: int, dims: int = 0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, *(1,) * dims))

    def forward(self, features: Tensor) -> Tensor:
        """[batch, channels, ...] to the same shape."""
        return features * self.factor


class ImageClassifier(nn.Module):
    """Convolutions that halve the image until no side is above 4 pixels, and a linear head.

    >>> model = ImageClassifier((1, 8, 8), classes=10)
    >>> model(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, standardize: nn.Module | None = None) -> None:
        super().__init__()
        channels, height, width = shape
        halvings = max(1, math.ceil(math.log2(max(height, width) / 4)))
        self.standardize = standardize or nn.Identity()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            ChannelScale(32, dims=2),
            *(layer for number in range(halvings) for layer in _halving(32 if number == 0 else 64)),
            nn.Flatten(),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(64 * math.ceil(height / 2**halvings) * math.ceil(width / 2**halvings), classes)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] to raw scores, [batch, classes]: the loss does its own softmax."""
        scores: Tensor = self.head(self.features(self.standardize(images)))
        return scores


def _halving(channels: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, 64, kernel_size=3, stride=2, padding=1), nn.ReLU()


class RowClassifier(nn.Module):
    """Two hidden layers for rows of numbers.

    >>> RowClassifier(columns=4, classes=3)(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, columns: int, classes: int, standardize: nn.Module | None = None) -> None:
        super().__init__()
        self.standardize = standardize or nn.Identity()
        self.features = nn.Sequential(
            nn.Linear(columns, 64), nn.ReLU(), ChannelScale(64), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1)
        )
        self.head = nn.Linear(64, classes)

    def forward(self, rows: Tensor) -> Tensor:
        """[batch, columns] to raw scores, [batch, classes]."""
        scores: Tensor = self.head(self.features(self.standardize(rows)))
        return scores


def classifier_for(dataset: Dataset[tuple[Tensor, int]], size: int, classes: int) -> nn.Module:
    """The model that suits a training set of this size, by the shape of its first sample."""
    standardize = Standardize.measured(dataset, size)
    match tuple(dataset[0][0].shape):
        case (channels, height, width):
            return ImageClassifier((channels, height, width), classes, standardize)
        case (columns,):
            return RowClassifier(columns, classes, standardize)
        case shape:
            msg = f"a sample is [channels, height, width] or [columns], not {list(shape)}"
            raise ValueError(msg)
