"""How long an interpreter takes to start: with nothing, tensorcheck, torch, or one of the command-line libraries.

Each line is a median over new processes; the rounds are interleaved, so a slow moment of the machine slows all alike.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time

IMPORTS = ("tensorcheck", "torch", "argparse", "click", "typer", "cyclopts")
COMMANDS = ("--help", "rules", "explain loss-broadcast")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    programs = {"nothing": "pass"}
    programs |= {f"import {name}": f"import {name}" for name in IMPORTS if importlib.util.find_spec(name)}
    programs |= {"import torch; tensorcheck.watch": "import torch, tensorcheck; tensorcheck.watch"}
    programs |= {f"tensorcheck {line}": _command(line) for line in COMMANDS}
    report(measure(programs, rounds))


def _command(line: str) -> str:
    return f"import sys; sys.argv[1:] = {line.split()}; from tensorcheck.cli.main import main; main()"


def measure(programs: dict[str, str], rounds: int) -> dict[str, float]:
    """Time each program once a round; return medians in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds + 1):
        for name, program in programs.items():
            times[name].append(_milliseconds(program))
    return {name: statistics.median(measured[1:]) for name, measured in times.items()}


def _milliseconds(program: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own lines
    return (time.perf_counter() - start) * 1000


def report(medians: dict[str, float]) -> None:
    """Print a line a program: its time, and what of it is over an interpreter that does nothing."""
    print(f"{'':40} {'ms':>8} {'over nothing':>14}")
    for name, median in medians.items():
        print(f"{name:40} {median:8.1f} {median - medians['nothing']:14.1f}")


if __name__ == "__main__":
    main()
