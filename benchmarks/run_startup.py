"""How much longer a script takes to start under `tensorcheck run` than under `python`.

One script imports PyTorch and does nothing, one trains a tiny model for a step, one imports nothing. The rounds are
interleaved, so a slow moment of the machine slows all alike.

    python benchmarks/run_startup.py [--rounds 15]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = {
    "nothing": "pass\n",
    "import torch": "import torch\n",
    "one step": (
        "import torch\n"
        "model = torch.nn.Linear(4, 1)\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "model(torch.rand(8, 4)).mean().backward()\n"
        "optimizer.step()\n"
    ),
}
LAUNCHERS = {"python": (), "tensorcheck run": ("-m", "tensorcheck", "run", "--quiet")}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"{number}.py") for number, name in enumerate(SCRIPTS)}
        for name, path in paths.items():
            path.write_text(SCRIPTS[name], encoding="utf-8")
        report(measure(paths, rounds))


def measure(paths: dict[str, Path], rounds: int) -> dict[str, list[tuple[float, ...]]]:
    """The seconds of each launcher, round by round; the first round, which fills the caches, is left out."""
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in paths}
    for _ in range(rounds + 1):
        for name, path in paths.items():
            times[name].append(tuple(_seconds([*words, str(path)]) for words in LAUNCHERS.values()))
    return {name: measured[1:] for name, measured in times.items()}


def _seconds(words: list[str]) -> float:
    # Installing a package compiles it; of a checkout, the first round does.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603 - our own lines
    return time.perf_counter() - start


def report(times: dict[str, list[tuple[float, ...]]]) -> None:
    """Print a line a script: the medians, and the median of the differences."""
    print(f"{'script':16} {'python':>10} {'watched':>10} {'more':>10}")
    for name, measured in times.items():
        plain, watched = (statistics.median(column) for column in zip(*measured, strict=True))
        more = statistics.median(after - before for before, after in measured)
        print(f"{name:16} {plain:9.3f}s {watched:9.3f}s {more:9.3f}s")


if __name__ == "__main__":
    main()
