"""The command `tensorcheck train`: the reference loop, watched."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from tensorcheck.findings import Severity
from tensorcheck.training.choices import OPTIMIZERS, PLANTS, PRECISIONS, SCHEDULES
from tensorcheck.training.errors import TrainingError
from tensorcheck.training.settings import EPOCHS, EPOCHS_OF_A_PLANT, RunSettings

if TYPE_CHECKING:
    from tensorcheck.training.run import Outcome

EXIT_FOUND, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
RESUMABLE = frozenset({"resume", "epochs", "fail_on"})
"""The options that a resumed run may be given; all others are those that it was started with."""

FailOn = Literal["error", "warning", "never"]
AT_LEAST_ONE = click.IntRange(min=1)
ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


class TrainingFault(click.ClickException):
    """A training that can't be done, told in the one sentence of its error."""

    exit_code = EXIT_USAGE


def list_plants(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001 - click's own signature
    """Print the mistakes for `--plant list`, and end there."""
    if value == "list":
        width = max(map(len, PLANTS))
        click.echo("\n".join(f"{name:{width}}  {summary}" for name, summary in PLANTS.items()))
        ctx.exit()
    return value


OPTIONS = (
    click.option(
        "--data", metavar="PATH", help="A folder with a sub-folder of images for each class, a .npz or a .csv."
    ),
    click.option("--label", metavar="NAME", help="The column of a .npz or .csv that is the label."),
    click.option("--image-size", type=AT_LEAST_ONE, help="Pixels a side that a folder's images are resized to."),
    click.option("--epochs", type=AT_LEAST_ONE, help=f"By default {EPOCHS}, and {EPOCHS_OF_A_PLANT} with --plant."),
    click.option("--batch-size", type=AT_LEAST_ONE, default=32, show_default=True),
    click.option("--lr", type=ABOVE_ZERO, help="The learning rate; by default what suits the optimizer."),
    click.option("--optimizer", type=click.Choice(list(OPTIMIZERS)), default="adamw", show_default=True),
    click.option("--schedule", type=click.Choice(SCHEDULES), default="cosine", show_default=True),
    click.option("--warmup", type=click.IntRange(min=0), metavar="EPOCHS", help="The learning rate grows for so long."),
    click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True),
    click.option(
        "--device", default="auto", show_default=True, help="Such as cpu or cuda:1; auto takes an accelerator."
    ),
    click.option("--accumulate", type=AT_LEAST_ONE, default=1, metavar="BATCHES", help="Batches for each step."),
    click.option("--clip-grad-norm", type=ABOVE_ZERO, metavar="NORM", help="Scale gradients down to this norm."),
    click.option(
        "--early-stopping", type=AT_LEAST_ONE, metavar="PATIENCE", help="Stop after so many epochs without gain."
    ),
    click.option(
        "--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Processes that load data."
    ),
    click.option("--seed", type=click.IntRange(min=0, max=2**63 - 1), default=0, show_default=True),
    click.option(
        "--run-dir", type=click.Path(path_type=Path), help="The folder of this run; by default runs/ and the time."
    ),
    click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with the run in this folder."),
    click.option(
        "--plant",
        type=click.Choice([*PLANTS, "list"]),
        metavar="BUG",
        callback=list_plants,
        is_eager=True,
        help="Make a mistake on purpose, to see what a finding looks like; list names them.",
    ),
    click.option("--fail-on", type=click.Choice(["error", "warning", "never"]), default="error", show_default=True),
)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all the options."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command()
@with_options
@click.pass_context
def train(ctx: click.Context, /, *, run_dir: Path | None, resume: Path | None, fail_on: FailOn, **options: Any) -> None:  # noqa: ANN401 - the fields of RunSettings
    """Train a small classifier with the reference loop, and watch it.

    Without --data it learns the handwritten digits that are part of the package. The run's folder gets the report, the
    metrics and the checkpoints. Ctrl-C keeps the state of the last finished epoch in last.pth, writes the report and
    exits with 130.
    """
    try:
        settings = _settings(options) if resume is None else _resumed_settings(ctx, resume, options["epochs"])
        outcome = _run(settings, run_dir, resume)
    except TrainingError as error:
        raise TrainingFault(str(error)) from error
    _show(outcome)
    ctx.exit(_exit_code(outcome, fail_on))


def _settings(options: dict[str, Any]) -> RunSettings:
    if options["plant"] is not None and options["data"] is not None:
        msg = "--plant makes its mistake with the embedded digits, so it goes without --data"
        raise click.UsageError(msg)
    if options["epochs"] is None:
        options["epochs"] = EPOCHS if options["plant"] is None else EPOCHS_OF_A_PLANT
    if options["warmup"] is None:
        options["warmup"] = min(1, options["epochs"] - 1)
    if options["data"] is not None:
        options["data"] = str(Path(options["data"]).absolute())
    return RunSettings(**options)


def _resumed_settings(ctx: click.Context, folder: Path, epochs: int | None) -> RunSettings:
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    other = [name for name in given if name not in RESUMABLE]
    if other:
        msg = f"--{other[0].replace('_', '-')} can't be changed by --resume: a run goes on as it was started"
        raise click.UsageError(msg)
    settings = RunSettings.of_run(folder)
    if epochs in (None, settings.epochs):
        return settings
    if settings.schedule == "one-cycle":
        msg = f"the one-cycle schedule of {folder} ends with epoch {settings.epochs} and can't be changed to {epochs}"
        raise TrainingError(msg)
    return replace(settings, epochs=epochs)


def _run(settings: RunSettings, run_dir: Path | None, resume: Path | None) -> "Outcome":
    import torch  # noqa: PLC0415 - --help is not meant to wait for it
    from rich.console import Console  # noqa: PLC0415 - likewise

    from tensorcheck.training.checkpoints import LAST, load_checkpoint  # noqa: PLC0415 - likewise
    from tensorcheck.training.folder import claim_folder  # noqa: PLC0415 - likewise
    from tensorcheck.training.run import gather, train  # noqa: PLC0415 - likewise

    if settings.data is None:
        # Images of 8 by 8 are too small to share: a second thread gains nothing, and on a busy machine each waits for
        # the other many times longer than it computes.
        torch.set_num_threads(1)
    ingredients = gather(settings)
    if resume is not None:
        load_checkpoint(resume / LAST)
    folder = resume or claim_folder(run_dir)
    return train(ingredients, folder, Console(), resume=resume / LAST if resume is not None else None)


def _show(outcome: "Outcome") -> None:
    from rich.console import Console  # noqa: PLC0415 - --help is not meant to wait for it

    from tensorcheck.training.metrics import ClassificationReport  # noqa: PLC0415 - nor for torchmetrics

    if outcome.test is not None:
        click.echo(f"\ntest data, with the weights of the best epoch: loss {outcome.test.loss:.4f}")
        if "confusion_matrix" in outcome.test.metrics:
            confusion = outcome.test.metrics["confusion_matrix"]
            click.echo(f"\n{ClassificationReport.of(confusion, outcome.classes)}")
    click.echo()
    Console(soft_wrap=True).print(outcome.report)
    click.echo(f"\nfiles: {outcome.folder}")
    _show_error(outcome)


def _show_error(outcome: "Outcome") -> None:
    match outcome.error:
        case None:
            pass
        case KeyboardInterrupt() if outcome.can_be_resumed:
            click.echo(f"interrupted; to go on: tensorcheck train --resume {outcome.folder}", err=True)
        case KeyboardInterrupt():
            click.echo("interrupted before the first step", err=True)
        case TrainingError() as error:
            raise TrainingFault(str(error)) from error
        case error if outcome.report.findings:
            click.echo(f"the training broke off with {type(error).__name__}: {_first_line(error)}", err=True)
        case error:
            # No finding explains it, so all that there is has to be seen.
            raise error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _exit_code(outcome: "Outcome", fail_on: FailOn) -> int:
    if isinstance(outcome.error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if outcome.error is not None:
        return EXIT_FOUND
    if fail_on == "never":
        return 0
    return EXIT_FOUND if any(found.severity >= Severity(fail_on) for found in outcome.report.findings) else 0
