"""Runs what a page shows: its Python, its shell commands, and whether they print what the page says.

A `python` block with a title is a file of that name; one without is run, all of a page's in one namespace. A `text`
block directly below it is what it prints. In a `console` block each line that begins with `$ ` is a command, with its
output below it. `...` stands for anything. A `sh` block is for the reader alone.

`python tests/docs/pages.py PAGE...` writes what really was printed into the pages, wherever it differs.
"""

import contextlib
import doctest
import io
import linecache
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

FENCE = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
COMMAND = re.compile(r"^\$ (?P<command>.+)\n(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Output:
    """What the page says is printed, what was, and where on the page that stands."""

    line: int
    said: str
    printed: str
    span: tuple[int, int]

    @property
    def is_true(self) -> bool:
        return doctest.OutputChecker().check_output(self.said, self.printed, doctest.ELLIPSIS)


def run_page(text: str, folder: Path) -> Iterator[Output]:
    """Run a page's blocks in this folder, in their order."""
    runner = Runner(folder)
    blocks = list(FENCE.finditer(text))
    for block, following in zip_longest(blocks, blocks[1:]):
        match block["language"], block["title"]:
            case "python", None:
                printed = runner.run_python(block["body"])
                yield from _compare(text, block, following, printed)
            case "python", title:
                (folder / title).write_text(block["body"], encoding="utf-8")
            case "console", _:
                yield from _compare_console(text, block, runner.run_command)


@dataclass
class Runner:
    """The folder and the namespace that the blocks of a page share."""

    folder: Path

    def __post_init__(self) -> None:
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.count = 0

    def run_python(self, source: str) -> str:
        """Run a snippet as a file of its own, so that its lines can be found; return what it prints."""
        self.count += 1
        file = self.folder / f"snippet_{self.count}.py"
        file.write_text(source, encoding="utf-8")
        linecache.checkcache(str(file))
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            exec(compile(source, file, "exec"), self.namespace)  # noqa: S102 - our own pages
        return _tidy(printed.getvalue())

    def run_command(self, command: str) -> str:
        """Run a shell command as a reader with this environment active would; return all that it prints."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "COLUMNS": "100"}
        done = subprocess.run(
            ["bash", "-c", command],  # noqa: S607 - likewise
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        return _tidy(done.stdout)


def _tidy(printed: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in printed.rstrip().splitlines())


def _compare(text: str, block: re.Match[str], following: re.Match[str] | None, printed: str) -> Iterator[Output]:
    is_answered = following and following["language"] == "text" and not text[block.end() : following.start()].strip()
    if following and is_answered:
        yield Output(_line(text, following.start()), following["body"], printed, following.span("body"))


def _compare_console(text: str, block: re.Match[str], run: Callable[[str], str]) -> Iterator[Output]:
    for shown in COMMAND.finditer(text, *block.span("body")):
        yield Output(_line(text, shown.start()), shown["output"], run(shown["command"]), shown.span("output"))


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def rewrite(page: Path) -> None:
    """Put what was printed in place of what the page said, where they differ."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        outputs = list(run_page(text, Path(folder)))
    for output in reversed([output for output in outputs if not output.is_true]):
        start, end = output.span
        text = text[:start] + output.printed + text[end:]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
