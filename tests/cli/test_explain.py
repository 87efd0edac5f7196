"""`tensorcheck explain`."""

import inspect

import pytest
from click.testing import CliRunner

from tensorcheck.catalogue import RuleType, all_rules
from tensorcheck.cli.main import main


def rule_title(rule: RuleType) -> str:
    return rule.code


@pytest.mark.parametrize("rule", all_rules(), ids=rule_title)
def test_the_page_is_the_rules_docstring_word_for_word(rule: RuleType) -> None:
    page = CliRunner().invoke(main, ["explain", rule.code]).output
    assert page.startswith(f"# {rule.code}: {rule.name}\n")
    assert inspect.cleandoc(rule.__doc__ or "missing") in page


@pytest.mark.parametrize("wanted", ["tck202", "TCK202", "loss-broadcast", "Loss-Broadcast"])
def test_a_rule_is_found_by_code_and_by_name_in_any_case(wanted: str) -> None:
    assert CliRunner().invoke(main, ["explain", wanted]).output.startswith("# TCK202: loss-broadcast\n")


def test_an_unknown_rule_exits_with_2_and_one_sentence_that_names_the_nearest() -> None:
    answer = CliRunner().invoke(main, ["explain", "loss-brodcast"])
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert answer.stderr == "Error: there is no rule 'loss-brodcast'; did you mean TCK202 (loss-broadcast)?\n"


def test_output_that_is_no_terminal_is_plain_markdown() -> None:
    page = CliRunner().invoke(main, ["explain", "TCK202"]).output
    assert "\x1b" not in page
    assert "\n## Use instead\n" in page


def test_a_terminal_gets_headings_and_not_their_marks() -> None:
    page = CliRunner().invoke(main, ["explain", "TCK202"], env={"FORCE_COLOR": "1"}).output
    assert "Use instead" in page
    assert "## Use instead" not in page
