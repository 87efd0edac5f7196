"""`tensorcheck rules`."""

import json

import click
import pytest
from click.testing import CliRunner

from tensorcheck.catalogue import all_rules
from tensorcheck.cli.main import main
from tensorcheck.findings import Category


def test_the_table_has_a_line_for_each_rule_in_the_order_of_the_codes() -> None:
    lines = CliRunner().invoke(main, ["rules"]).output.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[rule.code, rule.name] for rule in all_rules()]


def test_json_says_of_each_rule_what_it_is_and_what_sees_it() -> None:
    listed = json.loads(CliRunner().invoke(main, ["rules", "--json"]).output)
    assert [entry["code"] for entry in listed] == [rule.code for rule in all_rules()]
    assert {*listed[0]} == {"code", "name", "severity", "category", "instruments", "since", "summary"}


@pytest.mark.parametrize("category", [category.value for category in Category])
def test_a_category_lists_its_own_rules_alone(category: str) -> None:
    listed = json.loads(CliRunner().invoke(main, ["rules", "--json", "--category", category]).output)
    assert [entry["code"] for entry in listed] == [rule.code for rule in all_rules() if rule.category() == category]


def test_an_unknown_category_exits_with_2_and_lists_the_known_ones() -> None:
    answer = CliRunner().invoke(main, ["rules", "--category", "shapes"])
    assert answer.exit_code == 2
    assert "'shape'" in answer.output


def test_output_that_is_no_terminal_has_no_escape_codes() -> None:
    assert "\x1b" not in CliRunner().invoke(main, ["rules"]).output


def test_a_terminal_gets_a_table_as_wide_as_itself() -> None:
    table = CliRunner().invoke(main, ["rules"], env={"FORCE_COLOR": "1", "COLUMNS": "70"}).output
    assert max(map(len, click.unstyle(table).splitlines())) <= 70
