"""The command `tensorcheck diff`: where two runs part."""

from pathlib import Path

import click

from tensorcheck.comparing.compare import NothingInCommonError, compare
from tensorcheck.comparing.reading import TraceFormatError, read_run
from tensorcheck.comparing.steps import Limits
from tensorcheck.render import comparison as text
from tensorcheck.render import comparison_json
from tensorcheck.render.harmless import harmless


class DiffFault(click.ClickException):
    """Runs that can't be compared, told in one sentence."""

    exit_code = 2


RUN = click.Path(path_type=Path)
TOLERANCE = click.FloatRange(min=0)


@click.command()
@click.argument("first", type=RUN)
@click.argument("second", type=RUN)
@click.option("--rtol", type=TOLERANCE, metavar="SHARE", help="How far values may be apart, as a share of their rms.")
@click.option("--atol", type=TOLERANCE, metavar="SIZE", help="How far they may be apart besides.")
@click.option("--strict", is_flag=True, help="Another dtype, device or operation is a difference though values agree.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def diff(first: Path, second: Path, *, rtol: float | None, atol: float | None, strict: bool, form: str) -> None:  # noqa: PLR0913 - the options of the command
    """Print where two runs part: of commits, devices or dtypes.

    FIRST and SECOND are the folders of two runs, or files that `Trace.save` wrote. Values are compared where both runs
    were started with --fingerprint. The exit code is 0 where the runs are the same, and 1 where they are not.
    """
    try:
        compared = compare(read_run(first), read_run(second), Limits(rtol, atol))
    except (NothingInCommonError, TraceFormatError) as error:
        raise DiffFault(harmless(str(error))) from error
    if form == "json":
        told = comparison_json.document(compared, strict=strict)
    else:
        told = text.document(compared, text.Names(str(first), str(second)), strict=strict)
    click.echo(told.encode("utf-8", "backslashreplace"), nl=False)
    if not compared.is_same(strict=strict):
        raise click.exceptions.Exit(1)
