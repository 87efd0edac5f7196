"""The entrance `tensorcheck`: its commands, each imported when it is called.

click, because argparse leaves the help and errors of sub-commands to us, and of the libraries that do not, click starts
fastest: 25 ms, where typer takes 41 and cyclopts 52 (`python benchmarks/startup.py` measures them).
"""

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

import tensorcheck

EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is to be found, and its line in the help.

    The line stands here and not with the command, so that `tensorcheck --help` imports nothing that a command needs.

    >>> LazyCommand("tensorcheck.cli.rules:rules", "List the rules.").load().name
    'rules'
    """

    target: str
    """`module:attribute`."""
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, attribute = self.target.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


COMMANDS: Mapping[str, LazyCommand] = {
    "run": LazyCommand("tensorcheck.cli.run:run", "Run a script as python does, with every model in it watched."),
    "train": LazyCommand(
        "tensorcheck.cli.train:train", "Train a small classifier with the reference loop, and watch it."
    ),
    "preflight": LazyCommand(
        "tensorcheck.cli.preflight:preflight", "Check a training step of a model before it costs anything."
    ),
    "fuzz": LazyCommand("tensorcheck.cli.fuzz:fuzz", "Find the smallest input that breaks a model."),
    "report": LazyCommand("tensorcheck.cli.report:report", "Print the report of a run in another format."),
    "replay": LazyCommand("tensorcheck.cli.replay:replay", "Repeat the failure that a capsule holds."),
    "diff": LazyCommand("tensorcheck.cli.diff:diff", "Print where two runs part: of commits, devices or dtypes."),
    "rules": LazyCommand("tensorcheck.cli.rules:rules", "List the rules."),
    "explain": LazyCommand("tensorcheck.cli.explain:explain", "Explain a rule: what it finds, and what to do instead."),
}


class LazyGroup(click.Group):
    """A group that imports a command only when that command runs.

    >>> LazyGroup("tensorcheck").list_commands(click.Context(click.Command("tensorcheck")))
    ['run', 'train', 'preflight', 'fuzz', 'report', 'replay', 'diff', 'rules', 'explain']
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command; a script, which `run` asks for, is run outside of click, whose handling it must not meet."""
        try:
            return super().main(*args, **kwargs)
        except BaseException as launch:
            options = getattr(launch, "tensorcheck_run", None)
            if options is None:
                raise
        return importlib.import_module("tensorcheck.running.run").run(options)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """The command of this name, imported, or None."""
        return COMMANDS[cmd_name].load() if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names; where it names none, an error names the nearest."""
        wanted = args[0]
        if wanted not in COMMANDS and not wanted.startswith("-"):
            nearest = difflib.get_close_matches(wanted, COMMANDS, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            ctx.fail(f"there is no command {wanted!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """Write the commands' part of the help from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command; Ctrl-C exits with 130, as it does for other programs."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tensorcheck.__version__, prog_name="tensorcheck")
def main() -> None:
    """Find wrong dtypes, shapes, devices and gradients in a PyTorch training loop.

    Exit codes: 1 where there is an error among the findings, 2 for wrong usage, 130 after Ctrl-C, otherwise 0.
    """
