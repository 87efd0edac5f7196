"""What a simulated device costs: the digits loop under `tensorcheck.simulate_device` against the same loop bare.

Both train the reference model in one process, block by block in turn, as `watch_overhead.py` does; the result is the
median of the blocks' ratios.

    python benchmarks/simulated_training.py [--pairs 20] [--steps 60]
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice

import torch
from torch import nn
from watch_overhead import WARM_UP, loader

import tensorcheck
from tensorcheck.training.model import ImageClassifier

MOST = 8
"""Times as long as the bare loop."""


def block(device: str, steps: int) -> float:
    """Seconds of the median step on this device, from batch to batch, after the warm-up."""
    with tensorcheck.simulate_device("cuda") if device == "cuda" else nullcontext():
        return statistics.median(islice(_steps(device), WARM_UP, WARM_UP + steps))


def _steps(device: str) -> Iterator[float]:
    model = ImageClassifier((1, 8, 8), classes=10).to(device)
    optimizer, loss_fn, batches = torch.optim.AdamW(model.parameters(), lr=1e-3), nn.CrossEntropyLoss(), loader()
    while True:
        started = time.perf_counter()
        for images, labels in batches:
            optimizer.zero_grad()
            loss = loss_fn(model(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            yield time.perf_counter() - started
            started = time.perf_counter()


def main() -> None:
    """Print the medians and their ratio, and fail where it is beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    torch.manual_seed(0)
    seconds: dict[str, list[float]] = {"cpu": [], "cuda": []}
    for pair in range(options.pairs):
        for device in ("cpu", "cuda") if pair % 2 else ("cuda", "cpu"):
            seconds[device].append(block(device, options.steps))
    ratios = [one / other for one, other in zip(seconds["cuda"], seconds["cpu"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.pairs} pairs of {options.steps} steps"
    )
    print(f"bare       {statistics.median(seconds['cpu']) * 1e6:8.1f} us a step")
    print(f"simulated  {statistics.median(seconds['cuda']) * 1e6:8.1f} us a step")
    print(f"ratio      {middle:8.2f}    (quartiles {low:.2f} to {high:.2f})")
    if middle > MOST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
