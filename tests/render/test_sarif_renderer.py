"""Records as SARIF, which has to be valid by the published schema and by what GitHub asks for beyond it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tensorcheck.catalogue import all_rules, facts_of, with_rules
from tensorcheck.findings import Finding
from tensorcheck.record import Coverage, Record, RuleFacts
from tensorcheck.render.harmless import harmless
from tensorcheck.render.sarif import document, to_sarif
from tensorcheck.sites import Site
from tests import strategies
from tests.conftest import Golden
from tests.render import samples

SCHEMA = json.loads(Path(__file__).with_name("sarif").joinpath("sarif-2.1.0.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
PLACEHOLDER = re.compile(r"(?<!\{)\{\d+\}")
EXPLAINED = replace(
    samples.RECORD,
    rules=(RuleFacts("TCK202", "loss-broadcast", samples.LOSS_BROADCAST.severity, "A matrix.", "## What\n\nIt *is*."),),
)


def run_of(*findings: Finding, **parts: Any) -> dict[str, Any]:
    run: dict[str, Any] = to_sarif(Record("0.1.0", findings=findings, **parts))["runs"][0]
    return run


def place_of(site: Site) -> dict[str, Any]:
    result = run_of(replace(samples.LOSS_BROADCAST, site=site))["results"][0]
    place: dict[str, Any] = result["locations"][0]["physicalLocation"]
    return place


def texts(part: object) -> list[str]:
    """What stands in a message anywhere below."""
    children = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    here = [part["text"]] if isinstance(part, dict) and isinstance(part.get("text"), str) else []
    return here + [text for child in children for text in texts(child)]


def test_a_report_reads_as_its_golden_file(golden: Golden) -> None:
    golden("report.sarif", document(EXPLAINED))


@settings(max_examples=50)
@given(strategies.records())
def test_every_record_is_valid_by_the_published_schema(record: Record) -> None:
    VALIDATOR.validate(json.loads(document(record)))


def test_a_log_that_is_none_is_noticed_by_the_schema() -> None:
    log = to_sarif(samples.RECORD)
    del log["runs"][0]["results"][0]["message"]
    assert not VALIDATOR.is_valid(log)


@settings(max_examples=50)
@given(strategies.records())
def test_every_result_has_what_github_asks_for(record: Record) -> None:
    run = json.loads(document(record))["runs"][0]
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert place["artifactLocation"]["uri"] is not None
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_every_rule_of_the_catalogue_is_explained_in_markdown() -> None:
    findings = tuple(replace(samples.UNPLACED, rule=rule.code, name=rule.name) for rule in all_rules())
    run = to_sarif(with_rules(Record("0.1.0", findings=findings)))["runs"][0]
    described = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    for rule in all_rules():
        assert described[rule.code]["help"]["markdown"] == facts_of(rule).page
        assert "## Use instead" in described[rule.code]["help"]["markdown"]
    VALIDATOR.validate({"version": "2.1.0", "runs": [run]})


@pytest.mark.parametrize(
    ("finding", "level"), [(samples.LOSS_BROADCAST, "error"), (samples.FROZEN, "warning"), (samples.UNPLACED, "note")]
)
def test_a_severity_has_its_level(finding: Finding, level: str) -> None:
    assert run_of(finding)["results"][0]["level"] == level


def test_columns_count_characters_and_leave_the_last_out() -> None:
    source = '    loss = mse("模👩", y)'
    region = place_of(Site("train.py", 7, 12, 24, code='mse("模👩", y)', source=source))["region"]
    assert run_of(samples.FROZEN)["columnKind"] == "unicodeCodePoints"
    assert source[region["startColumn"] - 1 : region["endColumn"] - 1] == 'mse("模👩", y)' == region["snippet"]["text"]


def test_a_file_of_the_run_is_named_from_its_root() -> None:
    assert place_of(Site("my code/100% [new]#1.py", 3))["artifactLocation"] == {
        "uri": "my%20code/100%25%20%5Bnew%5D%231.py",
        "uriBaseId": "%SRCROOT%",
    }


@pytest.mark.parametrize(
    ("file", "uri"),
    [("/srv/my lib/a.py", "file:///srv/my%20lib/a.py"), ("C:\\code\\a.py", "file:///C%3A/code/a.py")],
)
def test_a_file_elsewhere_has_a_uri_of_its_own(file: str, uri: str) -> None:
    assert place_of(Site(file, 3))["artifactLocation"] == {"uri": uri}


def test_a_finding_without_a_place_is_no_empty_result() -> None:
    place = run_of(samples.UNPLACED)["results"][0]["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "no place in the code"


def test_related_places_are_numbered_and_say_why() -> None:
    related = run_of(samples.LOSS_BROADCAST)["results"][0]["relatedLocations"]
    assert [(place["id"], place["message"]["text"]) for place in related] == [(1, "`price` is made here")]


def test_the_fingerprint_is_ours_and_github_adds_its_own() -> None:
    prints = run_of(samples.LOSS_BROADCAST)["results"][0]["partialFingerprints"]
    assert prints == {"tensorcheck/v1": samples.LOSS_BROADCAST.fingerprint}


def test_the_first_line_of_a_message_is_a_sentence_of_its_own() -> None:
    message = run_of(samples.LOSS_BROADCAST)["results"][0]["message"]["text"]
    assert message.splitlines()[0] == "`mse_loss` got 32 rows against 32x1 and averaged 1024 pairs."


def test_a_run_that_saw_nothing_does_not_look_clean() -> None:
    (invocation,) = run_of()["invocations"]
    first = invocation["toolExecutionNotifications"][0]
    assert (first["level"], first["message"]["text"]) == ("warning", "No model and no step was seen.")


def test_what_was_skipped_is_said() -> None:
    (invocation,) = run_of(coverage=Coverage(1, 2, skipped=samples.COVERAGE.skipped))["invocations"]
    assert "it is compiled" in invocation["toolExecutionNotifications"][-1]["message"]["text"]


@settings(max_examples=50)
@given(strategies.records())
def test_no_name_becomes_a_link_or_a_placeholder(record: Record) -> None:
    for text in texts(to_sarif(record)["runs"][0]["results"]):
        assert "](" not in text
        assert not PLACEHOLDER.search(text)


@given(st.sampled_from(["[here](https://example.com)", "{0} and {12}", "layers[0](x)"]))
def test_a_message_made_to_inject_is_text(hostile: str) -> None:
    message = run_of(replace(samples.LOSS_BROADCAST, headline=hostile))["results"][0]["message"]["text"]
    assert "](" not in message
    assert not PLACEHOLDER.search(message)
    assert message.replace("] (", "](").replace("{{", "{").replace("}}", "}").startswith(hostile)


@settings(max_examples=50)
@given(strategies.records())
def test_nothing_that_is_obeyed_and_not_shown_gets_through(record: Record) -> None:
    log = json.loads(document(record))
    assert [text for text in texts(log) for line in text.split("\n") if harmless(line) != line] == []
