"""The frame of the command line, as a person at a shell meets it."""

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from tensorcheck import __version__
from tensorcheck.cli.main import COMMANDS, main

LIGHT_COMMANDS = ["--help", "--version", "rules", "explain TCK202", "report --help", "replay --help", "diff --help"]


def run(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    program = f"import sys; from tensorcheck.cli.main import main\n{code}\nmain()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, encoding="utf-8", check=False
    )


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command_and_what_it_does(flag: str) -> None:
    answer = CliRunner().invoke(main, [flag])
    assert answer.exit_code == 0
    assert all(f"{name} " in answer.output and command.summary in answer.output for name, command in COMMANDS.items())


def test_help_starts_in_a_fifth_of_a_second() -> None:
    run("--help")
    assert min(processor_seconds("--help") for _ in range(5)) < 0.2


def processor_seconds(*arguments: str) -> float:
    """Time of the processor and not of the clock, which other tests that run meanwhile would make longer."""
    before = os.times()
    run(*arguments)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize("line", LIGHT_COMMANDS)
def test_a_command_that_trains_nothing_imports_no_torch(line: str) -> None:
    watched = "import atexit\natexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))"
    assert run(*line.split(), code=watched).stderr == "False\n"


def test_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"tensorcheck, version {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_table_is_the_first_line_of_the_commands_own_help(name: str) -> None:
    command = COMMANDS[name].load()
    assert (command.help or "").splitlines()[0] == COMMANDS[name].summary
    assert command.name == name


def test_an_unknown_command_exits_with_2_and_names_the_nearest() -> None:
    answer = CliRunner().invoke(main, ["ruels"])
    assert answer.exit_code == 2
    assert answer.output.splitlines()[-1] == "Error: there is no command 'ruels'; did you mean 'rules'?"


def test_ctrl_c_exits_with_130_and_prints_no_traceback() -> None:
    interrupt = "import click\ndef stop(*args): raise KeyboardInterrupt\nclick.Command.invoke = stop"
    answer = run("rules", code=interrupt)
    assert answer.returncode == 130
    assert answer.stderr == "interrupted\n"


def test_a_reader_that_stops_early_is_no_error() -> None:
    line = f"{sys.executable} -m tensorcheck rules --json | true"
    answer = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - a real pipe
    assert answer.stderr == ""


def test_no_command_prints_the_help() -> None:
    answer = CliRunner().invoke(main, [])
    assert "Commands:" in answer.output


def test_the_group_is_what_the_script_entry_names() -> None:
    assert isinstance(main, click.Group)
