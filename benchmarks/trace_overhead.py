"""What a traced step costs against a bare one: a small MLP and a transformer encoder, on one thread.

Each pair is one bare step and the second step under a fresh watch, in turn in one process; the figure is the median of
the ratios. With `--fingerprint` the watch looks at every value, for `tensorcheck diff`, which costs more.

    python benchmarks/trace_overhead.py [--pairs 30] [--fingerprint]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

import tensorcheck


def step_of(model: nn.Module, inputs: Tensor, loss_fn: Callable[[Tensor], Tensor]) -> Callable[[], float]:
    """A training step of this model that returns its seconds."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> float:
        started = time.perf_counter()
        optimizer.zero_grad()
        loss_fn(model(inputs)).backward()
        optimizer.step()
        return time.perf_counter() - started

    return step


def measure(name: str, model: nn.Module, step: Callable[[], float], asked: argparse.Namespace) -> None:
    """Print the median of a bare step and of the ratios."""
    for _ in range(5):
        step()
    bare, ratios = [], []
    for _ in range(asked.pairs):
        bare.append(step())
        with tensorcheck.watch(model, fingerprint=asked.fingerprint):
            step()
            ratios.append(step() / bare[-1])
    print(f"{name:24} {statistics.median(bare) * 1e3:8.2f} ms bare   ratio {statistics.median(ratios):.3f}")


def main() -> None:
    """Measure both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--fingerprint", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    labels = torch.randint(10, (64,))
    widths = (784, 256, 256, 10)
    layers = [nn.Linear(*sizes) for sizes in pairwise(widths)]
    mlp = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    measure(
        "MLP 784-256-256-10",
        mlp,
        step_of(mlp, torch.rand(64, 784), lambda logits: nn.functional.cross_entropy(logits, labels)),
        asked,
    )
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True), 6)
    measure(
        "encoder, 6 layers, d 256",
        encoder,
        step_of(encoder, torch.rand(8, 128, 256), lambda words: words.square().mean()),
        asked,
    )


if __name__ == "__main__":
    main()
