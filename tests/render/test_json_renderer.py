"""Records as JSON, and back."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator, ValidationError

from tensorcheck.findings import Finding
from tensorcheck.record import Record
from tensorcheck.render.json import ReportFormatError, document, from_json, to_json
from tensorcheck.sites import Site
from tests import strategies
from tests.conftest import Golden
from tests.invariants import REPORT_SCHEMA, assert_valid_report
from tests.render import samples


def test_a_report_reads_as_its_golden_file(golden: Golden) -> None:
    golden("report.json", document(samples.RECORD))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(REPORT_SCHEMA)


def test_the_schema_explains_every_key_to_a_person() -> None:
    undescribed = [key for key, part in _properties(REPORT_SCHEMA) if not {"description", "$ref"} & set(part)]
    assert undescribed == []


def test_the_schema_allows_no_other_keys() -> None:
    assert [part for part in _objects(REPORT_SCHEMA) if part.get("additionalProperties") is not False] == []


@given(strategies.records())
def test_every_record_has_the_form_of_the_schema(record: Record) -> None:
    assert_valid_report(json.loads(document(record)))


@given(strategies.records())
def test_what_the_form_carries_comes_back(record: Record) -> None:
    assert from_json(json.loads(document(record))) == _carried(record)


@pytest.mark.parametrize("version", [2, "1", 0, None])
def test_a_report_of_another_version_is_refused(version: object) -> None:
    report = to_json(samples.RECORD) | {"schema_version": version}
    with pytest.raises(ReportFormatError, match="schema_version"):
        from_json(report)


def test_the_refusal_says_which_version_can_be_read() -> None:
    with pytest.raises(ReportFormatError, match="has schema_version 2; this version of tensorcheck reads 1"):
        from_json(to_json(samples.RECORD) | {"schema_version": 2})


@pytest.mark.parametrize("key", ["coverage", "environment", "findings", "tensorcheck_version"])
def test_a_report_without_one_of_its_parts_is_refused_by_name(key: str) -> None:
    report = to_json(samples.RECORD)
    del report[key]
    with pytest.raises(ReportFormatError, match=f"'{key}' is missing"):
        from_json(report)


def test_something_that_is_no_report_is_refused() -> None:
    for other in ({}, {"schema_version": 1, "findings": 3}, [1], "text"):
        with pytest.raises(ReportFormatError, match="this is no tensorcheck report"):
            from_json(other)  # type: ignore[arg-type] # a file may hold anything


def test_an_invented_key_is_no_valid_report() -> None:
    report = copy.deepcopy(to_json(samples.RECORD))
    report["findings"][0]["advice"] = "none"
    with pytest.raises(ValidationError):
        assert_valid_report(report)


def test_a_summary_that_does_not_count_its_findings_is_no_valid_report() -> None:
    with pytest.raises(AssertionError):
        assert_valid_report(to_json(samples.RECORD) | {"summary": {"error": 0, "warning": 0, "info": 0}})


def _carried(record: Record) -> Record:
    return replace(record, findings=tuple(map(_carried_finding, record.findings)))


def _carried_finding(finding: Finding) -> Finding:
    site = finding.site and replace(finding.site, source="", function="")
    related = tuple(replace(place, site=Site(place.site.file, place.site.line)) for place in finding.related)
    return replace(finding, site=site, related=related)


def _objects(schema: Any) -> list[dict[str, Any]]:
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    here = [schema] if isinstance(schema, dict) and schema.get("type") == "object" else []
    return here + [part for child in children for part in _objects(child)]


def _properties(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [item for part in _objects(schema) for item in part["properties"].items()]
