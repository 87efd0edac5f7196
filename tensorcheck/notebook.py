"""`%load_ext tensorcheck`: cells that are watched, and exceptions explained, in IPython and in notebooks.

A watched cell is run inside of the cell that holds the magic. What it raises is raised once more from there, so that
the outer cell fails as it would have, and is shown by a handler of ours that leaves the frames of the magic out.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, cast

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic_arguments import MagicArgumentParser
from IPython.display import display

from tensorcheck.explaining import explain
from tensorcheck.findings import Severity
from tensorcheck.options import Options
from tensorcheck.render.text import finding_text
from tensorcheck.report import Report
from tensorcheck.session import Session
from tensorcheck.watching import Watch, settings_here

_NAME = "tensorcheck"


class CellFindingsError(RuntimeError):
    """What was found in a cell is as bad as its `--fail-on` says."""


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext tensorcheck` calls."""
    cast("Any", shell).register_magic_function(_Magic(shell), "line_cell", _NAME)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What `%unload_ext tensorcheck` calls."""
    for magics in cast("Any", shell.magics_manager).magics.values():
        magics.pop(_NAME, None)


class _Magic:
    """Run a cell with every model that it trains or calls watched; as a line, explain the last exception."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def __call__(self, line: str, cell: str | None = None) -> None:
        options: Namespace = _parser(is_cell=cell is not None).parse_argstring(line)
        if cell is None:
            self._explain(options)
        else:
            self._watch(cell, options)

    def _explain(self, options: Namespace) -> None:
        try:
            display(explain(experiments=not options.no_experiments))
        except LookupError as error:
            sys.stderr.write(f"{_NAME}: {error}\n")

    def _watch(self, cell: str, options: Namespace) -> None:
        session = Session(
            (),
            Options(
                on_finding=lambda _: None,  # the report below the cell shows it
                experiments=not options.no_experiments,
                finds_models=True,
                settings=settings_here(),
            ),
        )
        watch = Watch(session, ())
        try:
            error, is_run = self._run(cell)
            if error is not None:
                session.crashed("elsewhere", error)
        finally:
            watch.close()
        if error is not None and not isinstance(error, SystemExit):  # which IPython has shown
            self._fail(error, watch.report if is_run else None)
        display(watch.report)
        if (found := _as_asked(watch.report, options.fail_on)) is not None:
            self._fail(found, None)

    def _run(self, cell: str) -> tuple[BaseException | None, bool]:
        """What the cell raised, and whether it ran at all; a first line in place of the magic keeps the numbers."""
        code = cell if cell.lstrip().startswith("%%") else f"#\n{cell}"
        with _unshown(self._shell), _numbered(self._shell):
            result = self._shell.run_cell(code)
        return result.error_in_exec or result.error_before_exec, result.error_before_exec is None

    def _fail(self, error: BaseException, report: Report | None) -> NoReturn:
        """Let the outer cell fail of this; its traceback is shown without the frames of the magic, then the report."""
        shell, traceback = cast("Any", self._shell), error.__traceback__
        handled, handler = shell.custom_exceptions, shell.CustomTB

        def show(
            shell: Any,  # noqa: ANN401 - IPython's own type has no stubs
            kind: type[BaseException],
            value: BaseException,
            trace: TracebackType,
            tb_offset: int | None = None,
        ) -> None:
            shell.custom_exceptions, shell.CustomTB = handled, handler
            if value is not error:
                shell.showtraceback((kind, value, trace), tb_offset=tb_offset)
                return
            with _without_notes(error, report):
                shell.showtraceback((kind, value, traceback), exception_only=traceback is None)
            if report is not None:
                display(report)

        shell.set_custom_exc((BaseException,), show)
        raise error


def _as_asked(report: Report, fail_on: str) -> CellFindingsError | None:
    least = None if fail_on == "never" else Severity(fail_on)
    count = sum(number for severity, number in report.counts.items() if least is not None and severity >= least)
    if not count:
        return None
    return CellFindingsError(f"the report above has {count} of severity {fail_on} or worse, and --fail-on is {fail_on}")


@contextmanager
def _without_notes(error: BaseException, report: Report | None) -> Iterator[None]:
    """Within, the exception has no notes that the report is going to repeat."""
    notes = getattr(error, "__notes__", None)
    repeated = [f"\n{finding_text(finding)}" for finding in report.findings] if report is not None else []
    if notes is not None:
        error.__notes__ = [note for note in notes if note not in repeated]
    try:
        yield
    finally:
        if notes is not None:
            error.__notes__ = notes


@contextmanager
def _numbered(shell: Any) -> Iterator[None]:  # noqa: ANN401 - likewise
    """Within, what is run goes by the number of the cell that is running, and not by that of the next."""
    cache = shell.compile.cache

    def numbered(code: str, _number: int = 0, raw_code: str | None = None) -> str:
        name: str = cache(code, shell.displayhook.prompt_count, raw_code=raw_code)
        return name

    shell.compile.cache = numbered
    try:
        yield
    finally:
        del shell.compile.cache


@contextmanager
def _unshown(shell: Any) -> Iterator[None]:  # noqa: ANN401 - likewise
    """Within, exceptions are not shown; what the user has set for them is put back afterwards."""
    handled, handler = shell.custom_exceptions, shell.CustomTB
    shell.set_custom_exc((BaseException,), lambda *_args, **_kwargs: None)
    try:
        yield
    finally:
        shell.custom_exceptions, shell.CustomTB = handled, handler


def _parser(*, is_cell: bool) -> MagicArgumentParser:
    parser = MagicArgumentParser(f"{'%%' if is_cell else '%'}{_NAME}", add_help=False)
    parser.add_argument("--no-experiments", action="store_true")
    if is_cell:
        parser.add_argument("--fail-on", choices=["error", "warning", "never"], default="never")
    return parser
