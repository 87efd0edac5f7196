"""The checker of findings refuses what DESIGN refuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tensorcheck.catalogue import all_rules
from tensorcheck.findings import Finding, Severity
from tensorcheck.sites import Site
from tests.invariants import assert_well_formed


@pytest.fixture
def finding(tmp_path: Path) -> Finding:
    rule = all_rules()[0]
    file = tmp_path / "train.py"
    file.write_text("loss = loss_fn(pred, y)\n")
    site = Site(str(file), line=1, column=8, end_column=24, code="loss_fn(pred, y)", source="loss = loss_fn(pred, y)")
    return Finding(rule.code, rule.name, Severity.ERROR, "`loss_fn` got 2 rows and 3", label="2 and 3", site=site)


def test_a_good_finding_passes(finding: Finding) -> None:
    assert_well_formed(finding)
    assert_well_formed(replace(finding, site=None))


@pytest.mark.parametrize(
    "headline",
    [
        "`loss_fn` got 2 rows and 3.",
        "Use `unsqueeze` before the loss is computed",
        "change the loss to another one",
        "`loss_fn` got\n2 rows",
        "",
        "`loss_fn` " + "x" * 80,
    ],
)
def test_a_bad_headline_is_refused(finding: Finding, headline: str) -> None:
    with pytest.raises(AssertionError):
        assert_well_formed(replace(finding, headline=headline))


def test_a_headline_that_only_starts_like_advice_passes(finding: Finding) -> None:
    assert_well_formed(replace(finding, headline="User `ada` has 2 rows and 3"))


def test_a_label_as_long_as_the_headline_is_refused(finding: Finding) -> None:
    with pytest.raises(AssertionError, match="label"):
        assert_well_formed(replace(finding, label=finding.headline))


def test_an_unknown_rule_is_refused(finding: Finding) -> None:
    with pytest.raises(AssertionError, match="no rule is"):
        assert_well_formed(replace(finding, rule="TCK999"))


def test_the_name_of_another_rule_is_refused(finding: Finding) -> None:
    with pytest.raises(AssertionError, match="no rule is"):
        assert_well_formed(replace(finding, name="other"))


@pytest.mark.parametrize("change", [{"line": 2}, {"end_column": 30}, {"source": "other"}, {"file": "missing.py"}])
def test_a_place_that_does_not_exist_is_refused(finding: Finding, change: dict[str, Any]) -> None:
    assert finding.site
    with pytest.raises(AssertionError):
        assert_well_formed(replace(finding, site=replace(finding.site, **change)))


def test_a_help_that_is_not_there_was_not_tried(finding: Finding) -> None:
    with pytest.raises(AssertionError, match="tried"):
        assert_well_formed(replace(finding, tried="passed"))
