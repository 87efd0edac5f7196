"""What watching costs: the digits loop under `tensorcheck.watch` against the same loop bare.

Both train the reference model in one process, block by block in turn, so that a machine whose speed drifts slows both
alike. Each block is opened, warmed up past the traced steps and then timed, step by step; its figure is its median
step, which another process that takes the processor for a while does not move. The result is the median of the
blocks' ratios.

    python benchmarks/watch_overhead.py [--pairs 40] [--steps 60]
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import files
from itertools import islice

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.training.model import ImageClassifier

WARM_UP = 30
"""Past the traced steps, and past those in which the interpreter adapts to what was patched and patched back."""


def loader() -> DataLoader[tuple[torch.Tensor, ...]]:
    """The embedded digits in batches of 64, as the reference run has them."""
    with np.load(str(files("tensorcheck.training") / "digits" / "digits.npz")) as arrays:
        images = torch.from_numpy(arrays["images"]).float().unsqueeze(1) / 16
        labels = torch.from_numpy(arrays["labels"]).long()
    return DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)


class Loop:
    """One model in training; `block` takes some steps and returns the seconds of the median one."""

    def __init__(self, batches: DataLoader[tuple[torch.Tensor, ...]]) -> None:
        self.model = ImageClassifier((1, 8, 8), classes=10)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.loss_fn = nn.CrossEntropyLoss()
        self.batches = batches

    def block(self, steps: int, context: AbstractContextManager[object]) -> float:
        """Seconds of the median step, from batch to batch, of this many after the warm-up."""
        with context:
            return statistics.median(islice(self._steps(), WARM_UP, WARM_UP + steps))

    def _steps(self) -> Iterator[float]:
        while True:
            started = time.perf_counter()
            for images, labels in self.batches:
                self.optimizer.zero_grad()
                loss = self.loss_fn(self.model(images), labels)
                loss.backward()
                self.optimizer.step()
                yield time.perf_counter() - started
                started = time.perf_counter()


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    torch.manual_seed(0)
    loop = Loop(loader())
    loop.block(options.steps, nullcontext())
    bare, watched = [], []
    for pair in range(options.pairs):
        for is_watched in (False, True) if pair % 2 else (True, False):
            context = tensorcheck.watch(loop.model) if is_watched else nullcontext()
            (watched if is_watched else bare).append(loop.block(options.steps, context))
    ratios = [one / other for one, other in zip(watched, bare, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.pairs} pairs of {options.steps} steps"
    )
    print(f"bare     {statistics.median(bare) * 1e6:8.1f} us a step")
    print(f"watched  {statistics.median(watched) * 1e6:8.1f} us a step")
    print(f"ratio    {middle:8.4f}    (quartiles {low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()
