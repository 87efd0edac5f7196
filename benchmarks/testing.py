"""What tests pay: for the plugin that is installed and unused, for `assert_spec`, and for `pytest --tensorcheck`.

The suite is of 200 tests, each of which trains a small convolutional network for three steps. Runs with and without are
interleaved, and medians compared; the plugin has to be installed (`pip install -e .`).

    python benchmarks/testing.py [--rounds 5]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path

import torch

from tensorcheck.testing import assert_spec

EMPTY = "def test_nothing():\n    pass\n"

SUITE = """
import pytest
import torch
from torch import nn


@pytest.mark.parametrize("case", range(200))
def test_trains(case):
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images, labels = torch.rand(32, 1, 28, 28), torch.randint(10, (32,))
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
"""


def seconds(folder: Path, *flags: str) -> float:
    """How long a run of pytest takes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *flags]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - our own command
    return time.perf_counter() - started


def compared(source: str, first: tuple[str, ...], second: tuple[str, ...], rounds: int) -> tuple[float, float]:
    """The median seconds with the first flags and with the second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_suite.py").write_text(source, encoding="utf-8")
        pairs = [(seconds(folder, *first), seconds(folder, *second)) for _ in range(rounds + 1)][1:]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds

    without, unused = compared(EMPTY, ("-p", "no:tensorcheck"), (), 4 * rounds)
    print(f"plugin installed and unused: {1e3 * (unused - without):+.1f} ms of {1e3 * without:.0f} ms (limit 10 ms)")

    images = torch.zeros(8, 3, 32, 32)
    calls = 20_000
    spent = timeit.repeat(lambda: assert_spec(images, "batch 3 h w", dtype=torch.float32), number=calls, repeat=5)
    print(f"assert_spec: {1e6 * statistics.median(spent) / calls:.2f} µs a call (limit 5 µs)")

    plain, watched = compared(SUITE, (), ("--tensorcheck",), rounds)
    print(f"200 tests of small models: {plain:.2f} s, watched {watched:.2f} s: {watched / plain:.2f} (limit 1.3)")


if __name__ == "__main__":
    main()
