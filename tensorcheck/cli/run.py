"""The command `tensorcheck run`: somebody's script, watched, with no line of it changed."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from tensorcheck.baseline import Baseline, BaselineError, read_baseline
from tensorcheck.capsules.contents import SUFFIX
from tensorcheck.capsules.wish import CapsuleWish
from tensorcheck.comparing.recorded import TRACE
from tensorcheck.configuration import SettingsError, read_settings
from tensorcheck.findings import Severity
from tensorcheck.report import FORMATS, SUFFIXES
from tensorcheck.running.outputs import Outputs
from tensorcheck.running.program import Program
from tensorcheck.running.run import RunOptions
from tensorcheck.settings import Settings

FailOn = Literal["error", "warning", "never"]
FILE = click.Path(path_type=Path, dir_okay=False)


class Launch(BaseException):
    """The command line was understood; what it asks for is run outside of click."""

    def __init__(self, options: RunOptions) -> None:
        super().__init__()
        self.tensorcheck_run = options


class RunCommand(click.Command):
    """Options end where the script's name stands; whatever follows is the script's own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse ours, and keep the script's apart."""
        own, rest = split(args, {name for param in self.params for name in _names_with_value(param)})
        ctx.meta["tensorcheck.program"] = rest
        return super().parse_args(ctx, own)


def _names_with_value(param: click.Parameter) -> Sequence[str]:
    takes_next = isinstance(param, click.Option) and not param.is_flag and param.name != "capsule"
    return param.opts if takes_next else ()


def split(args: Sequence[str], with_value: set[str]) -> tuple[list[str], list[str]]:
    """Our options, and from the script or the `-m` on everything else.

    >>> split(["--quiet", "--steps", "3", "train.py", "--quiet"], {"--steps"})
    (['--quiet', '--steps', '3'], ['train.py', '--quiet'])
    """
    position = 0
    while position < len(args):
        word = args[position]
        if word == "--":
            return list(args[:position]), list(args[position + 1 :])
        if word == "-m" or not word.startswith("-"):
            break
        position += 2 if word in with_value or _is_capsule(args[position : position + 2]) else 1
    return list(args[:position]), list(args[position:])


def _is_capsule(words: Sequence[str]) -> bool:
    """Whether the value of `--capsule`, which may be left out, is what follows it: a script has another suffix."""
    return words[0] == "--capsule" and words[-1].endswith(SUFFIX)


@click.command(cls=RunCommand, options_metavar="[OPTIONS] (SCRIPT | -m MODULE) [ARGS]...", add_help_option=True)
@click.option(
    "--report",
    "reports",
    type=FILE,
    multiple=True,
    metavar="PATH",
    help=f"Write the report, as its suffix says ({', '.join(SUFFIXES)}). May be given more than once.",
)
@click.option("--format", type=click.Choice(list(FORMATS)), help="Print the report to stdout, after the script's own.")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write report.json, report.html and trace.json into this folder, which is made.",
)
@click.option("--fingerprint", is_flag=True, help="Keep what `tensorcheck diff` compares values by; needs --run-dir.")
@click.option("--fail-on", type=click.Choice(["error", "warning", "never"]), default="error", show_default=True)
@click.option("--select", multiple=True, metavar="CODES", help="Only these rules, such as TCK2,TCK401.")
@click.option("--ignore", multiple=True, metavar="CODES", help="All rules but these.")
@click.option("--baseline", type=FILE, metavar="FILE", help="Count only what is not in this file.")
@click.option(
    "--write-baseline", type=FILE, metavar="FILE", help="Accept all that is found, from now on, in this file."
)
@click.option(
    "--simulate-device",
    type=click.Choice(["cuda", "xpu", "mps"]),
    help="Let the script find an accelerator that is not there; it is the CPU, with the accelerator's rules.",
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="End the script after so many training steps.")
@click.option(
    "--budget",
    type=click.FloatRange(min=0, max=1, min_open=True),
    metavar="SHARE",
    help="Take at most this share of the script's time, such as 0.01, by looking closely more seldom.",
)
@click.option("--pdb", is_flag=True, help="Open the debugger at your own line where the script raised.")
@click.option(
    "--capsule",
    is_flag=False,
    flag_value=".",
    type=click.Path(path_type=Path),
    metavar="[=FILE]",
    help="Write the first failure of each kind to a file that `tensorcheck replay` repeats it from.",
)
@click.option("--with-weights", is_flag=True, help="Write the weights into the capsule too.")
@click.option("--quiet", is_flag=True, help="Print nothing of our own to stderr.")
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - as declared above
    """Run a script as python does, with every model in it watched.

    Findings are printed to stderr when they are made, and at the end what was seen. The exit code is the script's own;
    where that is 0, it is 1 if there is a finding that --fail-on names.
    """
    program = _program(ctx, ctx.meta["tensorcheck.program"])
    raise Launch(_options(program, **options))


def _program(ctx: click.Context, words: Sequence[str]) -> Program:
    if not words:
        ctx.fail("name the script to run, or -m and a module")
    if words[0] != "-m":
        return Program(words[0], tuple(words[1:]))
    if len(words) == 1:
        ctx.fail("-m needs the name of a module")
    return Program(words[1], tuple(words[2:]), is_module=True)


def _options(  # noqa: PLR0913 - the options of the command
    program: Program,
    *,
    reports: Sequence[Path],
    format: str | None,  # noqa: A002 - the name of the option
    run_dir: Path | None,
    fingerprint: bool,
    fail_on: FailOn,
    select: Sequence[str],
    ignore: Sequence[str],
    baseline: Path | None,
    write_baseline: Path | None,
    steps: int | None,
    budget: float | None,
    pdb: bool,
    capsule: Path | None,
    with_weights: bool,
    quiet: bool,
    simulate_device: str | None,
) -> RunOptions:
    if fingerprint and run_dir is None:
        msg = "--fingerprint says what is in the trace of a run, and there is no --run-dir to write it to"
        raise click.UsageError(msg)
    files = [_checked(path.absolute()) for path in reports]
    if run_dir is not None:
        files += [_made(run_dir) / name for name in ("report.json", "report.html")]
    outputs = Outputs(
        files=tuple(files),
        format=format or "",
        quiet=quiet,
        baseline=Baseline() if baseline is None else _known(baseline),
        new_baseline=None if write_baseline is None else _beside_others("--write-baseline", write_baseline.absolute()),
        trace=None if run_dir is None else run_dir.absolute() / TRACE,
    )
    settings = _settings(select, ignore)
    return RunOptions(
        program=program,
        outputs=outputs,
        settings=settings if budget is None else replace(settings, budget=budget),
        fail_on=None if fail_on == "never" else Severity(fail_on),
        steps=steps,
        pdb=pdb,
        fingerprint=fingerprint,
        simulate_device=simulate_device,
        capsule=_capsule(capsule, run_dir, with_weights=with_weights, quiet=quiet),
    )


def _capsule(wanted: Path | None, run_dir: Path | None, *, with_weights: bool, quiet: bool) -> CapsuleWish | None:
    """In the file that is named; where none is, in the folder of the run, or the one that it is started in."""
    if wanted is None and with_weights:
        msg = "--with-weights says what is in a capsule, and there is no --capsule"
        raise click.UsageError(msg)
    if wanted is None:
        return None
    stderr = sys.stderr

    def tell(words: str) -> None:
        if not quiet:
            stderr.write(f"tensorcheck: {words}\n")

    path = run_dir if run_dir is not None and wanted == Path() else _beside_others("--capsule", wanted.absolute())
    return CapsuleWish.at(path, tell=tell, with_weights=with_weights)


def _checked(path: Path) -> Path:
    if path.suffix.lower() not in SUFFIXES:
        msg = f"--report: {path.name!r} names no form of report; the suffixes are {', '.join(SUFFIXES)}"
        raise click.UsageError(msg)
    return _beside_others("--report", path)


def _beside_others(option: str, path: Path) -> Path:
    if not path.parent.is_dir():
        msg = f"{option}: the folder {str(path.parent)!r} does not exist"
        raise click.UsageError(msg)
    return path


def _known(path: Path) -> Baseline:
    try:
        return read_baseline(path)
    except BaselineError as error:
        msg = f"--baseline: {error}"
        raise click.UsageError(msg) from error


def _settings(select: Sequence[str], ignore: Sequence[str]) -> Settings:
    try:
        return read_settings(Path.cwd(), select=select, ignore=ignore)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"--run-dir: {str(folder)!r} can't be made: {error.strerror}"
        raise click.UsageError(msg) from error
    return folder.absolute()
