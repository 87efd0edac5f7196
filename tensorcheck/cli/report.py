"""The command `tensorcheck report`: the report of a run that is over, in another form."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from tensorcheck.catalogue import with_rules
from tensorcheck.render.json import ReportFormatError, from_json
from tensorcheck.report import FORMATS, Report, format_of
from tensorcheck.reread import lines_of, with_source

REPORT = "report.json"


class ReportFault(click.ClickException):
    """A report that can't be read, written or shown, told in one sentence."""

    exit_code = 2


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="By default the suffix of --output, or text.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write a file, and print nothing.")
@click.option("--open", "is_opened", is_flag=True, help="Show it in the browser; without --output, RUN/report.html.")
def report(*, run: Path, form: str | None, output: Path | None, is_opened: bool) -> None:
    """Print the report of a run in another format.

    RUN is the folder of a run, or a report.json. The lines of your source are shown where they still hold the code of
    a finding.
    """
    if is_opened:
        _refuse_to_open(form)
        _open(run, output)
    elif output is not None:
        _write(_read(run), form or _format_of(output), output)
    else:
        _print(_read(run), form or "text")


def _refuse_to_open(form: str | None) -> None:
    if form not in (None, "html"):
        msg = f"--open shows HTML, and --format {form} was asked for"
        raise click.UsageError(msg)


def _read(run: Path) -> Report:
    file = run / REPORT if run.is_dir() else run
    try:
        content = json.loads(file.read_bytes(), parse_constant=_refuse_constant)
        return Report(with_rules(with_source(from_json(content), lines_of)))
    except OSError as error:
        msg = f"{file} can't be read: {error.strerror or error}"
        raise ReportFault(msg) from error
    except ReportFormatError as error:
        msg = f"{file}: {error}"
        raise ReportFault(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{file} is no JSON: {error}"
        raise ReportFault(msg) from error


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is no number of JSON"
    raise ValueError(msg)


def _format_of(output: Path) -> str:
    try:
        return format_of(output)
    except ValueError as error:
        msg = f"{error}; --format names it too"
        raise click.UsageError(msg) from error


def _write(made: Report, form: str, output: Path) -> None:
    try:
        made.write(output, form)
    except OSError as error:
        msg = f"{output} can't be written: {error.strerror or error}"
        raise ReportFault(msg) from error


def _print(made: Report, form: str) -> None:
    if form == "text" and sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - the other formats do without

        Console(soft_wrap=True).print(made)
    else:
        click.echo(made.render(form).encode("utf-8", "backslashreplace"), nl=False)


def _open(run: Path, output: Path | None) -> None:
    import webbrowser  # noqa: PLC0415 - it looks for every browser there is

    folder = run if run.is_dir() else run.parent
    page = output or folder / "report.html"
    # The page that was made with the report has every source line; one made now may have lost some.
    if output is not None or not page.is_file():
        _write(_read(run), "html", page)
    if not webbrowser.open(page.absolute().as_uri()):
        msg = f"no browser could be started; the report is {page}"
        raise ReportFault(msg)
