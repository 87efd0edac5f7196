"""PyTorch's messages about wrong tensors, as a table: `programs/*.toml`, one file a rule, each message with a program.

The programs are read from files and run as if each were a script; they need no names but those in `NAMES`.
"""

import linecache
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

FOLDER = Path(__file__).parent / "programs"
STAGES = ("forward", "loss", "backward", "step", "loader", "elsewhere")
UNNAMED = "TCK000"
"""The file of the mistakes that no rule covers; each proposes a name for one."""
NAMES: Mapping[str, object] = {
    "torch": torch,
    "nn": nn,
    "F": functional,
    "np": np,
    "DataLoader": DataLoader,
    "Dataset": Dataset,
    "__name__": "program",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A few lines with one mistake, and what PyTorch says to it."""

    rule: str
    name: str
    stage: str
    error: str
    """The name of the exception's class."""
    message: str
    """A regular expression to be searched for in the message, with groups for its facts."""
    code: str
    facts: tuple[str, ...]
    """Words that a good explanation holds."""
    likely: str = ""
    """How people usually come to this mistake."""
    proposed: str = ""
    """A name for a rule that covers it, where there is none."""

    @property
    def filename(self) -> str:
        return f"<program {self.name}>"


@cache
def load_programs() -> tuple[Program, ...]:
    """All programs, in the order of the rules."""
    return tuple(program for file in sorted(FOLDER.glob("tck*.toml")) for program in _programs_of(file))


def _programs_of(file: Path) -> Iterator[Program]:
    for entry in tomllib.loads(file.read_text("utf-8"))["program"]:
        yield Program(rule=file.stem.upper(), **{**entry, "facts": tuple(entry["facts"])})


@contextmanager
def crash_of(program: Program) -> Iterator[Exception]:
    """The exception that the program ends with, with its frames, which are emptied on exit.

    A worker's exception and its frames hold each other and the loader's iterator; left to the garbage collector, the
    iterator waits five seconds for its workers.
    """
    error = _run(program)
    try:
        yield error
    finally:
        traceback.clear_frames(error.__traceback__)


def _run(program: Program) -> Exception:
    lines = program.code.splitlines(keepends=True)
    linecache.cache[program.filename] = (len(program.code), None, lines, program.filename)
    try:
        exec(compile(program.code, program.filename, "exec"), dict(NAMES))  # noqa: S102 - the table's own programs
    except Exception as error:  # noqa: BLE001 - whatever it raises is what the table is about
        return error
    message = f"{program.name} raises nothing"
    raise AssertionError(message)
