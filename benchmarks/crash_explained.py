"""How long it takes to explain a crash with tried fixes: a small CNN, a transformer encoder and a ResNet-50.

In each, the last layer was built for another number of features, so the whole model runs in each trial. As in any
training, an optimizer was built before. `--cold` leaves it out: then the meta device, whose first use takes a second,
is not asked, and a model that is too large for trials on its own device gets no tried fix.

    python benchmarks/crash_explained.py [--times 5] [--cold]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

import tensorcheck


class Cnn(nn.Module):
    """Two convolutions and a wrong head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(784, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, 10]`."""
        logits: Tensor = self.head(self.body(images).flatten(1))
        return logits


class Encoder(nn.Module):
    """Six layers of attention and a wrong head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.TransformerEncoder(nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True), 6)
        self.head = nn.Linear(512, 10)

    def forward(self, words: Tensor) -> Tensor:
        """Logits `[batch, 10]`."""
        logits: Tensor = self.head(self.body(words).mean(1))
        return logits


class Bottleneck(nn.Module):
    """The block of "Deep Residual Learning for Image Recognition" (He et al., 2015), figure 5, right."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.skip = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, images: Tensor) -> Tensor:
        """Features `[batch, 4 * width, h / stride, w / stride]`."""
        return functional.relu(self.body(images) + self.skip(images))


class ResNet(nn.Module):
    """Sixteen bottlenecks and a wrong head."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = 64
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for index in range(count):
                blocks.append(Bottleneck(channels, width, stride if index == 0 else 1))
                channels = 4 * width
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.body = nn.Sequential(nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(512, 1000)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, 1000]`."""
        logits: Tensor = self.head(self.body(self.stem(images)).flatten(1))
        return logits


def measure(name: str, make: Callable[[], nn.Module], inputs: Tensor, times: int) -> None:
    """Print the seconds of the first and of the median explanation, and what was tried."""
    model = make()
    labels = torch.zeros(len(inputs), dtype=torch.int64)
    seconds, plain, tried = [], [], ""
    for _ in range(times):
        try:
            functional.cross_entropy(model(inputs), labels)
        except RuntimeError as error:
            started = time.perf_counter()
            tensorcheck.explain(error, experiments=False)
            between = time.perf_counter()
            tried = tensorcheck.explain(error).findings[0].tried
            plain.append(between - started)
            seconds.append(time.perf_counter() - between)
    print(
        f"{name:24} first {seconds[0]:6.3f} s   median {statistics.median(seconds):6.3f} s"
        f"   (untried {statistics.median(plain):6.3f} s)   tried: {tried or 'nothing'}"
    )


def main() -> None:
    """Measure the three models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--cold", action="store_true")
    arguments = parser.parse_args()
    times = arguments.times
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if not arguments.cold:
        torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    measure("CNN", Cnn, torch.rand(64, 1, 28, 28), times)
    measure("encoder, 6 layers, d 256", Encoder, torch.rand(8, 128, 256), times)
    measure("ResNet-50", ResNet, torch.rand(8, 3, 224, 224), times)


if __name__ == "__main__":
    main()
