"""The gallery: whole training scripts, each with a mistake and without, and the truth about it in a file beside them.

A script is run in a forked child, as `python script.py` would run it but with torch already imported, and every model
that an optimizer is built for is watched from then on.
"""

import contextlib
import gc
import io
import json
import multiprocessing
import os
import runpy
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

import tensorcheck
from tensorcheck.findings import Finding
from tensorcheck.observe.patches import PATCHES, Listener
from tensorcheck.render.json import to_json
from tensorcheck.render.text import finding_text

FOLDER = Path(__file__).parent
Form = Literal["buggy", "fixed"]


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
class Run:
    """What came of a script: the findings as the JSON report has them, and the exception that ended it."""

    findings: tuple[dict[str, Any], ...]
    texts: tuple[str, ...]
    """The findings as they are printed."""
    error: str
    steps: int
    faults: tuple[str, ...]
    """What tensorcheck had to switch off."""


def run(exhibit: Exhibit, form: Form, folder: Path) -> Run:
    """Run one form of an exhibit in a child process, in this folder."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_in_child, args=(exhibit.path(form), folder, sending))
    child.start()
    sending.close()
    try:
        told = json.loads(receiving.recv())
    except EOFError:
        told = {"findings": (), "texts": (), "error": "the child ended without a word", "steps": 0, "faults": ()}
    child.join()
    return Run(tuple(told["findings"]), tuple(told["texts"]), told["error"], told["steps"], tuple(told["faults"]))


def _in_child(script: Path, folder: Path, sending: Connection) -> None:
    os.chdir(folder)
    sys.argv = [str(script)]
    torch.set_num_threads(1)
    watching = _WatchTrained()
    # A mistake may make PyTorch warn too; in a healthy script a warning is an error, as in all tests.
    warnings.simplefilter("ignore" if script.name == "buggy.py" else "error")
    with PATCHES.patch_attribute(Optimizer, "__init__", watching), contextlib.redirect_stdout(io.StringIO()):
        error = _run_script(script, watching)
    records = [report.record for report in (*(watch.report for watch in watching.watches), *watching.explained)]
    findings = [finding for record in records for finding in record.findings]
    told = {
        "findings": [finding for record in records for finding in to_json(record)["findings"]],
        "texts": [finding_text(finding) for finding in findings],
        "error": error,
        "steps": sum(record.coverage.steps for record in records),
        "faults": [
            skip.why for record in records for skip in record.coverage.skipped if skip.why.startswith("it raised")
        ],
    }
    sending.send(json.dumps(told))
    sending.close()


def _run_script(script: Path, watching: "_WatchTrained") -> str:
    try:
        runpy.run_path(str(script), run_name="__main__")
    except Exception as error:  # noqa: BLE001 - a stranger's script may raise anything
        for watch in watching.watches:
            watch.__exit__(type(error), error, error.__traceback__)
        if not watching.watches:
            watching.explained.append(tensorcheck.explain(error))
        return f"{type(error).__name__}: {error}"
    except SystemExit as error:
        return "" if not error.code else f"SystemExit: {error.code}"
    return ""


class _WatchTrained(Listener):
    """Watches the outermost module that holds what a new optimizer holds."""

    def __init__(self) -> None:
        self.watches: list[tensorcheck.Watch] = []
        self.explained: list[tensorcheck.Report] = []
        """What is said of a crash before any optimizer was built."""
        self._seen: set[int] = set()

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        for model in _models_of(args[0]):
            if id(model) not in self._seen:
                self._seen.add(id(model))
                self.watches.append(tensorcheck.watch(model, on_finding=_keep))


def _keep(_: Finding) -> None:
    """The findings are read from the report."""


def _models_of(optimizer: Optimizer) -> Iterator[nn.Module]:
    held = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
    modules = [thing for thing in gc.get_objects() if issubclass(type(thing), nn.Module)]
    holders = [module for module in modules if any(id(tensor) in held for tensor in module.parameters())]
    inner = {id(child) for module in holders for child in module.modules() if child is not module}
    return (module for module in holders if id(module) not in inner)
