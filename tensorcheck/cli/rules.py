"""The command `tensorcheck rules`: every rule in a table."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tensorcheck.catalogue import RuleType, all_rules
from tensorcheck.findings import Category

PIPE_WIDTH = 240
"""Columns where the output is no terminal, so that each rule stays on one line for `grep`."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--category", type=click.Choice([str(name) for name in Category]), help="Only the rules of this one.")
def rules(*, as_json: bool, category: str | None) -> None:
    """List the rules."""
    chosen = [describe(rule) for rule in all_rules() if category in (None, rule.category())]
    if as_json:
        click.echo(json.dumps(chosen, indent=2))
    else:
        _console().print(_table(chosen))


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def describe(rule: RuleType) -> dict[str, Any]:
    """What a table of rules says of one, as plain data.

    >>> from tensorcheck.catalogue import find_rule
    >>> describe(find_rule("TCK202"))["category"]
    'shape'
    """
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "category": rule.category().value,
        "instruments": sorted(rule.instruments()),
        "since": rule.since,
        "summary": rule.page.summary,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("code", "name", "severity", "category", "seen by"):
        table.add_column(column, no_wrap=True)
    table.add_column("summary")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (row["code"], row["name"], row["severity"], row["category"])
    yield ", ".join(row["instruments"])
    yield row["summary"]
