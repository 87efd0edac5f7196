"""The command `tensorcheck explain`: a rule's page."""

import inspect

import click
from rich.console import Console
from rich.markdown import Markdown

from tensorcheck.catalogue import RuleType, UnknownRuleError, find_rule


class UnknownRuleFault(click.ClickException):
    """Wrong usage that its sentence explains better than a reminder of the usage would."""

    exit_code = 2


@click.command()
@click.argument("rule", metavar="CODE_OR_NAME")
def explain(rule: str) -> None:
    """Explain a rule: what it finds, and what to do instead."""
    page = rule_page(_find(rule))
    console = Console()
    if console.is_terminal:
        console.print(Markdown(page))
    else:
        click.echo(page)


def _find(code_or_name: str) -> RuleType:
    try:
        return find_rule(code_or_name)
    except UnknownRuleError as unknown:
        raise UnknownRuleFault(str(unknown)) from unknown


def rule_page(rule: RuleType) -> str:
    """A rule's page in Markdown: its docstring under its code and name.

    >>> rule_page(find_rule("TCK202")).splitlines()[0]
    '# TCK202: loss-broadcast'
    """
    instruments = ", ".join(sorted(rule.instruments()))
    facts = f"{rule.severity.value} · {rule.category()} · seen by {instruments} · since {rule.since}"
    return f"# {rule.code}: {rule.name}\n\n{facts}\n\n{inspect.cleandoc(rule.__doc__ or '')}\n"
