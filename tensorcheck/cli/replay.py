"""The command `tensorcheck replay`: what a capsule holds fails once more, here."""

import bdb
import pdb  # noqa: T100 - it is what --pdb opens
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import click

from tensorcheck.capsules.archive import CapsuleFile
from tensorcheck.capsules.contents import Capsule, CapsuleError, StoredCall
from tensorcheck.capsules.form import named_tensors
from tensorcheck.record import Record
from tensorcheck.render.harmless import harmless
from tensorcheck.render.json import ReportFormatError, from_json
from tensorcheck.render.text import finding_text

if TYPE_CHECKING:
    from tensorcheck.replaying.replay import Outcome

OTHER, UNREADABLE, NOTHING = 1, 2, 3
"""The exit codes besides 0: it did not fail the same way; wrong usage, or no capsule; nothing could be repeated."""


class CapsuleFault(click.ClickException):
    """A capsule that can't be read, told in one sentence."""

    exit_code = UNREADABLE


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--trust", is_flag=True, help="Run the source text that the capsule holds: only if you trust its maker.")
@click.option("--pdb", "is_debugged", is_flag=True, help="Open the debugger where it fails.")
def replay(*, file: Path, trust: bool, is_debugged: bool) -> None:
    """Repeat the failure that a capsule holds.

    Without --trust, PyTorch's own layers and functions run, and nothing that the capsule brings. Exit codes: 0 where it
    failed the same way, 1 where it did not, 2 where the file is no capsule, 3 where nothing could be repeated.
    """
    try:
        with CapsuleFile(file) as opened:
            _tell(opened.capsule, is_trusted=trust)
            raise SystemExit(_repeat(opened, is_trusted=trust, is_debugged=is_debugged))
    except CapsuleError as error:
        raise CapsuleFault(harmless(str(error))) from error


def _tell(capsule: Capsule, *, is_trusted: bool) -> None:
    record = _record(capsule)
    for finding in record.findings:
        click.echo(f"{finding_text(finding)}\n")
    if not record.findings and capsule.failure is not None:
        click.echo(f"{_harmless(f'{capsule.failure.error}: {capsule.failure.message}')}\n")
    for call in _calls(capsule):
        _say(
            f"call: {call.title}{f', from {call.code}' if call.code else ''}{f' at {call.place}' if call.place else ''}"
        )
        for line in _inputs(capsule, call):
            _say(f"    {line}")
    for note in capsule.notes:
        _say(f"note: {note}")
    made = ", ".join(
        [f"torch {record.environment.torch}", f"Python {record.environment.python}", *record.environment.devices]
    )
    _say(f"made with: {made}; {capsule.surroundings.platform}")
    if record.command:
        _say(f"by: python {record.command}")
    if capsule.needs_trust and not is_trusted:
        _tell_sources(capsule)


def _record(capsule: Capsule) -> Record:
    try:
        return from_json(capsule.report)
    except (ReportFormatError, RecursionError) as error:
        raise CapsuleError(str(error)) from error


def _calls(capsule: Capsule) -> Iterator[StoredCall]:
    return (call for call in (capsule.call, capsule.model) if call is not None)


def _inputs(capsule: Capsule, call: StoredCall) -> Iterator[str]:
    for name, number in named_tensors(call):
        tensor = capsule.tensors[number]
        values = "" if tensor.has_values else f" (values left out: {tensor.without or 'not kept'}{_seen(tensor)})"
        yield f"{name}: {tensor if tensor.is_plain else tensor.without}{values if tensor.is_plain else ''}"


def _seen(tensor: Any) -> str:  # noqa: ANN401 - a stored tensor
    if tensor.lowest is None:
        return ""
    return f"; from {tensor.lowest:.4g} to {tensor.highest:.4g}{f', {tensor.statistics}' if tensor.statistics else ''}"


def _tell_sources(capsule: Capsule) -> None:
    """What would run."""
    _say("with --trust this text of the capsule's would run, with all rights that you have:")
    for source in capsule.sources:
        _say(f"    {source.file}, as {source.module}:")
        for line in source.text.splitlines():
            if line.strip():
                _say(f"        {line}")


def _repeat(file: CapsuleFile, *, is_trusted: bool, is_debugged: bool) -> int:
    from tensorcheck.replaying.replay import Verdict, outcomes_of  # noqa: PLC0415 - a file is refused without PyTorch

    outcomes = []
    for outcome in outcomes_of(file, is_trusted=is_trusted, debug=_debug if is_debugged else None):
        _say(f"{outcome.title}: {outcome.verdict.value}")
        for line in outcome.words.splitlines():
            _say(f"    {line}")
        outcomes.append(outcome)
        if is_debugged:
            _post_mortem(outcome)
    made = [outcome for outcome in outcomes if outcome.verdict is not Verdict.IMPOSSIBLE]
    if not made:
        _say("nothing was repeated")
        return NOTHING
    return 0 if all(outcome.verdict is Verdict.SAME for outcome in made) else OTHER


def _debug(code: CodeType, namespace: dict[str, Any]) -> None:
    """From the line of the call on; to leave the debugger is no failure of the call."""
    with suppress(bdb.BdbQuit):
        pdb.run(code, namespace)


def _post_mortem(outcome: "Outcome") -> None:
    if outcome.error is not None:
        from tensorcheck.running.post_mortem import post_mortem  # noqa: PLC0415 - seldom wanted

        post_mortem(outcome.error, None)


def _say(line: str) -> None:
    click.echo(_harmless(line))


def _harmless(text: str) -> str:
    return "\n".join(harmless(line) for line in text.splitlines())
