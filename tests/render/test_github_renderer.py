"""Records as commands of GitHub Actions, read back as its runner reads them."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

from tensorcheck.record import Coverage, Record
from tensorcheck.render.github import document
from tensorcheck.render.harmless import harmless
from tensorcheck.sites import Site
from tests import strategies
from tests.conftest import Golden
from tests.render import samples

COMMAND = re.compile(r"::(?P<name>[a-z]+) (?P<properties>[^:]*)::(?P<message>[^\r\n]*)")


def unescaped(text: str) -> str:
    for escape, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(escape, character)
    return text


def commands(record: Record) -> list[tuple[str, dict[str, str], str]]:
    """The lines that are commands, as the runner takes them apart."""
    found = [COMMAND.fullmatch(line) for line in document(record).split("\n") if line.lstrip().startswith("::")]
    return [
        (
            match["name"],
            {name: unescaped(value) for name, _, value in (p.partition("=") for p in match["properties"].split(","))},
            match["message"],
        )
        for match in found
        if match is not None
    ]


def test_a_report_reads_as_its_golden_file(golden: Golden) -> None:
    golden("report.github.txt", document(samples.RECORD))


def test_a_severity_has_its_command_and_the_worst_is_first() -> None:
    names = [name for name, _, _ in commands(samples.RECORD)]
    assert names == ["error", "error", "warning", "notice"]


def test_the_last_column_belongs_to_the_expression() -> None:
    (_, properties, _), *_ = commands(Record("0.1.0", findings=(samples.LOSS_BROADCAST,)))
    assert samples.LOSS_BROADCAST.site is not None
    source, start, end = samples.LOSS_BROADCAST.site.source, int(properties["col"]), int(properties["endColumn"])
    assert source[start - 1 : end] == "loss_fn(pred, price)"


def test_a_finding_without_a_place_is_an_annotation_of_the_job() -> None:
    ((_, properties, _),) = commands(Record("0.1.0", findings=(samples.UNPLACED,)))
    assert {*properties} == {"title"}


@pytest.mark.parametrize("file", ["a,b:c%.py", "x\n::error::owned.py", "100%25.py"])
def test_a_file_name_made_to_inject_is_a_file_name(file: str) -> None:
    finding = replace(samples.FROZEN, site=Site(file, 8))
    ((_, properties, _),) = commands(Record("0.1.0", findings=(finding,)))
    assert properties["file"] == harmless(file)


def test_a_line_that_is_no_command_has_nothing_of_the_users() -> None:
    hostile = replace(samples.HOSTILE, headline="##[add-mask]x\n::add-mask::y")
    *_, last, end = document(Record("0.1.0", findings=(hostile,))).split("\n")
    assert (last, end) == ("tensorcheck: 1 error", "")


@settings(max_examples=100)
@given(strategies.records())
def test_every_finding_is_one_command_and_no_name_makes_another(record: Record) -> None:
    read = commands(record)
    severities = sorted(finding.severity.value for finding in record.findings)
    saw_nothing = not record.findings and not record.coverage.models and not record.coverage.steps
    expected = ["warning"] if saw_nothing else [name.replace("info", "notice") for name in severities]
    assert sorted(name for name, _, _ in read) == sorted(expected)
    assert len(document(record).splitlines()) == len(read) + 1


@settings(max_examples=50)
@given(strategies.records())
def test_every_headline_can_be_read(record: Record) -> None:
    messages = [unescaped(message) for _, _, message in commands(record)]
    for finding in record.findings:
        assert any(message.startswith(harmless(finding.headline)) for message in messages)


def test_a_run_that_saw_nothing_is_warned_of() -> None:
    assert document(Record("0.1.0")).startswith("::warning title=tensorcheck::no model and no step was seen\n")
    assert commands(Record("0.1.0", coverage=Coverage(1, 2))) == []
