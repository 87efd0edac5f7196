"""`tensorcheck.explain()` where somebody types: after a traceback, in `pdb`, and after both."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import torch

def run(rows):
    return torch.nn.Linear(784, 10)(rows)

if __name__ == "__main__":
    run(torch.zeros(32, 3136))
"""
HEADLINE = "`Linear` got 3136 features but was built for 784"
EXPLAIN = "import tensorcheck; print(tensorcheck.explain())"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "train.py"
    file.write_text(SCRIPT)
    return file


def typed(script: Path, *arguments: str, lines: list[str]) -> str:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=script.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "IPYTHONDIR": str(script.parent)},
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    ).stdout


def test_at_the_prompt_of_the_interpreter(script: Path) -> None:
    lines = ["import torch, train", "train.run(torch.zeros(32, 3136))", EXPLAIN]
    assert HEADLINE in typed(script, "-i", "-q", lines=lines)


def test_in_the_post_mortem_of_a_script(script: Path) -> None:
    assert HEADLINE in typed(script, "-m", "pdb", "-c", "continue", "train.py", lines=[EXPLAIN, "q"])


def test_in_the_post_mortem_of_the_last_exception_at_the_prompt(script: Path) -> None:
    lines = ["import torch, train, pdb", "train.run(torch.zeros(32, 3136))", "pdb.pm()", EXPLAIN, "q"]
    assert HEADLINE in typed(script, "-i", "-q", lines=lines)


def test_in_a_debugger_it_is_the_exception_that_the_debugger_was_opened_on(script: Path) -> None:
    lines = [
        *("import torch, train, pdb, tensorcheck", "try: train.run(torch.zeros(32, 3136))"),
        *("except RuntimeError as error: trace = error.__traceback__; kept = error", "", "1 / 0"),
        *("pdb.post_mortem(trace)", EXPLAIN, "q"),
    ]
    assert HEADLINE in typed(script, "-i", "-q", lines=lines)


def test_in_a_debugger_that_stopped_at_a_breakpoint_it_is_the_exception_being_handled(script: Path) -> None:
    script.write_text(
        SCRIPT.replace("    run(", "    try:\n        run(")
        + "    except RuntimeError:\n        breakpoint()\n        print()\n"
    )
    assert HEADLINE in typed(script, "train.py", lines=[EXPLAIN, "q"])


def test_with_nothing_raised_it_says_so(script: Path) -> None:
    lines = ["import tensorcheck", "try: tensorcheck.explain()", "except LookupError as error: print(error)", ""]
    assert "there is no exception to explain" in typed(script, "-i", "-q", lines=lines)


def test_in_the_debugger_of_pytest(script: Path) -> None:
    script.write_text(SCRIPT.replace("if __name__", "def test_it():\n    run(torch.zeros(2, 5))\n\nif __name__"))
    shown = typed(script, "-m", "pytest", "--pdb", "-p", "no:cacheprovider", "train.py", lines=[EXPLAIN, "q"])
    assert "`Linear` got 5 features but was built for 784" in shown


def test_in_the_debugger_of_ipython(script: Path) -> None:
    lines = ["import torch, train", "train.run(torch.zeros(32, 3136))", "%debug", EXPLAIN, "q", "exit"]
    assert HEADLINE in typed(script, "-m", "IPython", "--simple-prompt", "--colors=nocolor", lines=lines)
