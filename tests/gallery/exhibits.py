"""The gallery: whole training scripts, each with a mistake and without, and the truth about it in a file beside them.

A script is run as a stranger would: by the command `tensorcheck run`, in a process and a folder of its own.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tensorcheck.findings import Severity

FOLDER = Path(__file__).parent
Form = Literal["buggy", "fixed"]
_ROOT = Path(__file__).parents[2]
_HEADING = re.compile(r"^(?=(?:error|warning|info)\[TCK\d+\]: )", re.MULTILINE)
_CLOSING = re.compile(r"^tensorcheck: ", re.MULTILINE)
_LONGEST = 240
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One mistake, and what is true of it."""

    name: str
    category: str
    rule: str
    severity: str
    crashes: bool
    root: str
    """The line of `buggy.py`, stripped, where the mistake was made."""
    words: tuple[str, ...]
    story: str

    def source(self, form: Form) -> str:
        return self.path(form).read_text(encoding="utf-8")

    def path(self, form: Form) -> Path:
        return FOLDER / self.name / f"{form}.py"


def load_exhibits() -> tuple[Exhibit, ...]:
    """All of them, by name."""
    truths = sorted(FOLDER.glob("*/truth.toml"))
    return tuple(_exhibit(path.parent.name, tomllib.loads(path.read_text(encoding="utf-8"))) for path in truths)


def _exhibit(name: str, truth: dict[str, Any]) -> Exhibit:
    return Exhibit(name, **{**truth, "words": tuple(truth["words"])})


@dataclass(frozen=True, slots=True)
class Process:
    """What a process left behind."""

    exit_code: int
    stdout: bytes
    stderr: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a script: the findings as the JSON report has them, and the exception that ended it."""

    process: Process
    findings: tuple[dict[str, Any], ...]
    texts: tuple[str, ...]
    """The findings as they are printed."""
    steps: int
    faults: tuple[str, ...]
    """What tensorcheck had to switch off."""

    @property
    def error(self) -> str:
        """The line that names the exception; empty where the script ended by itself."""
        _, trace, rest = self.process.stderr.rpartition("Traceback (most recent call last):\n")
        return next((line for line in rest.splitlines() if not line.startswith(" ")), "") if trace else ""


def run(exhibit: Exhibit, form: Form, folder: Path) -> Run:
    """Run one form of an exhibit, watched, in this folder."""
    with tempfile.TemporaryDirectory() as reports:
        files = [Path(reports, f"report.{suffix}") for suffix in ("json", "txt")]
        options = [word for file in files for word in ("--report", str(file))]
        command = ["-m", "tensorcheck", "run", "--quiet", "--fail-on", "never", *options]
        process = _ran([*command, str(exhibit.path(form))], folder)
        told = json.loads(files[0].read_text(encoding="utf-8"))
        text = files[1].read_text(encoding="utf-8")
    worst_first = sorted(told["findings"], key=lambda finding: Severity(finding["severity"]).rank, reverse=True)
    return Run(
        process,
        findings=tuple(worst_first),
        texts=tuple(_HEADING.split(_CLOSING.split(text)[0])[1:]),
        steps=told["coverage"]["steps"],
        faults=tuple(skip["why"] for skip in told["coverage"]["skipped"] if skip["why"].startswith("it raised")),
    )


def run_unwatched(exhibit: Exhibit, form: Form, folder: Path) -> Process:
    """Run one form of an exhibit as `python` does."""
    return _ran([str(exhibit.path(form))], folder)


def run_simulated(exhibit: Exhibit, form: Form, folder: Path) -> Process:
    """Run one form of an exhibit, watched, on a machine that seems to have an accelerator."""
    options = ["--quiet", "--fail-on", "never", "--simulate-device", "cuda"]
    return _ran(["-m", "tensorcheck", "run", *options, str(exhibit.path(form))], folder)


def _ran(command: Sequence[str], folder: Path) -> Process:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, timeout=_LONGEST, check=False
    )
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return Process(done.returncode, done.stdout, done.stderr.decode(errors="replace"), files)
