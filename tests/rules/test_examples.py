"""Each rule's page holds two programs: the first must raise the rule and only it, the second must be silent."""

import contextlib
import linecache
from collections.abc import Sequence

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.catalogue import RuleType, all_rules
from tensorcheck.findings import Finding
from tensorcheck.render.json import to_json
from tensorcheck.settings import Settings
from tests.invariants import assert_valid_report, assert_well_formed

RULES = pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: f"{rule.code}-{rule.name}")

ALONE = pytest.mark.parametrize(
    "rule", [rule for rule in all_rules() if rule.category() != "internal"], ids=lambda rule: rule.code
)


def findings_of(program: str, name: str) -> Sequence[Finding]:
    """Run a program whose `watch` stays behind, whether it raises or not."""
    filename = f"<example of {name}>"
    linecache.cache[filename] = (len(program), None, program.splitlines(keepends=True), filename)
    namespace = {"torch": torch, "nn": nn, "tensorcheck": tensorcheck, "__name__": "example"}
    with contextlib.suppress(Exception):
        exec(compile(program, filename, "exec"), namespace)  # noqa: S102 - the rule's own example
    watch = namespace["watch"]
    assert isinstance(watch, tensorcheck.Watch)
    assert_valid_report(to_json(watch.report.record))
    return watch.findings


@pytest.mark.filterwarnings("ignore::UserWarning")  # some of the mistakes make PyTorch warn as well
@RULES
def test_first_example_raises_the_rule_and_only_it(rule: RuleType, capsys: pytest.CaptureFixture[str]) -> None:
    findings = findings_of(rule.page.example, f"{rule.code} as it should not be")

    assert [finding.rule for finding in findings] == [rule.code]
    for finding in findings:
        assert_well_formed(finding)
    capsys.readouterr()


@RULES
def test_second_example_is_silent(rule: RuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert not findings_of(rule.page.fixed, f"{rule.code} as it should be")
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::UserWarning")  # likewise
@ALONE
def test_first_example_raises_the_rule_with_no_other_rule_selected(
    rule: RuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorcheck.watching.settings_here", lambda: Settings(select=(rule.code,)))
    assert [finding.rule for finding in findings_of(rule.page.example, f"{rule.code} alone")] == [rule.code]
    capsys.readouterr()
