"""Findings and reports as text."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tensorcheck.findings import Finding
from tensorcheck.record import Record
from tensorcheck.render.text import document, finding_text, render_finding
from tests import strategies
from tests.conftest import Golden
from tests.render import samples

LONG = "value = combine(" + "first.weight.detach().clone(), " * 4 + "second.bias, " + "third.weight, " * 4 + ")"

FINDINGS = {
    "wrong_features": samples.WRONG_FEATURES,
    "related_place": samples.LOSS_BROADCAST,
    "place_without_columns": samples.FROZEN,
    "no_place": samples.UNPLACED,
    "hostile_names": samples.HOSTILE,
    "long_line": samples.at(LONG, "second.bias"),
    "long_expression": samples.at(f"{LONG}  # and so on", LONG),
    "label_that_goes_below": samples.at("    output = first(second(batch))", "batch", label="float32[2, 3, 4] " * 5),
    "several_lines": replace(samples.at("    loss = loss_fn(", "loss_fn("), notes=("one line\n    and one below",)),
    "tabs": samples.at("\tif ready:\tloss = f(x)\t# tabs", "f(x)"),
    "wide_characters": samples.at("    損失 = 模型(畫像) + 1  # 交叉熵", "模型(畫像)"),
    "combining_characters": samples.at("    re\u0301sume\u0301 = mode\u0300le(e\u0301tat)", "mode\u0300le(e\u0301tat)"),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_reads_as_its_golden_file(name: str, golden: Golden) -> None:
    golden(f"finding_{name}.txt", finding_text(FINDINGS[name]) + "\n")


@pytest.mark.parametrize("name", ["wrong_features", "related_place", "long_line"])
def test_a_finding_fits_a_narrow_terminal(name: str, golden: Golden) -> None:
    golden(f"narrow_{name}.txt", finding_text(FINDINGS[name], width=50) + "\n")


def test_a_report_shows_the_worst_first_and_then_what_was_seen(golden: Golden) -> None:
    golden("report.txt", document(samples.RECORD))


def test_a_report_without_findings_says_what_was_looked_at(golden: Golden) -> None:
    golden("report_clean.txt", document(samples.CLEAN))


def test_a_report_that_saw_nothing_does_not_look_clean() -> None:
    assert document(Record(version="0.1.0")).startswith("tensorcheck: no findings, and no model and no step was seen")


@pytest.mark.parametrize("guilty", ["模型(畫像)", "mode\u0300le", "y"])
@pytest.mark.parametrize("before", ["", "損失 = ", "e\u0301tat = ", "a\tb = ", "👩\u200d👧 = ", "\x1b[1m"])
def test_the_carets_stand_below_the_guilty_expression(before: str, guilty: str) -> None:
    lines = finding_text(samples.at(f"  {before}{guilty}  # rest", guilty, label="")).split("\n")
    code, carets = lines[3], lines[4]
    start = cell_len(code[: code.index(guilty)])
    assert carets == "  |".ljust(start) + "^" * cell_len(guilty)


def test_an_expression_that_goes_on_below_is_underlined_to_the_end_of_its_line() -> None:
    finding = samples.at("loss = loss_fn(pred,", "loss_fn")
    assert finding.site
    finding = replace(finding, site=replace(finding.site, end_column=3), label="")
    assert "  |        ^^^^^^^^^^^^^\n" in finding_text(finding)


def test_a_finding_made_once_does_not_say_how_often() -> None:
    assert "seen:" not in finding_text(samples.WRONG_FEATURES)


def test_a_help_that_was_not_tried_makes_no_claim() -> None:
    assert "tried" not in finding_text(replace(samples.WRONG_FEATURES, tried=""))


@given(strategies.findings(), st.integers(40, 120))
def test_no_line_is_wider_than_asked(finding: Finding, width: int) -> None:
    assert max(map(cell_len, finding_text(finding, width=width).split("\n"))) <= width


@given(strategies.records())
def test_nothing_that_a_terminal_obeys_gets_through(record: Record) -> None:
    obeyed = {"Cc", "Cs", "Zl", "Zp"}
    text = document(record).replace("\n", "")
    assert not {character for character in text if unicodedata.category(character) in obeyed}
    assert "\u202e" not in text


@given(strategies.findings())
def test_the_styled_finding_says_the_same_as_the_plain_one(finding: Finding) -> None:
    assert render_finding(finding).plain == finding_text(finding)
