"""What holds for every finding and every report that any test makes."""

import json
import linecache
import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from rich.cells import cell_len

from tensorcheck.catalogue import all_rules
from tensorcheck.findings import Finding
from tensorcheck.render.text import WIDTH, finding_text
from tensorcheck.sites import Site

ADVICE = re.compile(
    r"(add|avoid|call|cast|change|check|consider|convert|do|don't|ensure|fix|make|move|pass|please|remove|replace|set|"
    r"should|switch|try|use|you should)\b",
    re.IGNORECASE,
)
REPORT_SCHEMA: dict[str, Any] = json.loads(
    files("tensorcheck.render").joinpath("report.schema.json").read_text("utf-8")
)


def assert_well_formed(finding: Finding) -> None:
    """The finding keeps to DESIGN's "How a finding reads", its rule exists, and so does the place that it names."""
    assert_headline(finding.headline)
    assert len(finding.label) < len(finding.headline), f"the label is no shorter than the headline: {finding.label!r}"
    known = {rule.code: rule.name for rule in all_rules()}
    assert known.get(finding.rule) == finding.name, f"no rule is {finding.rule} ({finding.name})"
    if finding.site is not None:
        assert_exists(finding.site)
    assert_stable_fingerprint(finding)
    assert finding.help or not finding.tried, "no help, and yet it was tried"
    assert finding.first_step <= finding.last_step
    too_wide = [line for line in finding_text(finding).split("\n") if cell_len(line) > WIDTH]
    assert not too_wide


def assert_headline(headline: str) -> None:
    """One fact in one line of at most 80 characters, without a full stop and without advice."""
    assert 0 < len(headline) <= 80, f"the headline has {len(headline)} characters: {headline!r}"
    assert "\n" not in headline
    assert not headline.endswith("."), f"the headline ends with a full stop: {headline!r}"
    assert not ADVICE.match(headline), f"the headline gives advice: {headline!r}"


def assert_exists(site: Site) -> None:
    """The place can be looked up, and its columns lie in its line."""
    linecache.checkcache(site.file)
    lines = linecache.getlines(site.file)
    assert 1 <= site.line <= len(lines), f"{site} does not exist: the file has {len(lines)} lines"
    line = lines[site.line - 1].rstrip("\n")
    assert site.source in ("", line), f"{site} holds {line!r}, not {site.source!r}"
    if site.column:
        assert 1 <= site.column < site.end_column <= len(line) + 1, f"{site} to {site.end_column} is not in {line!r}"


def assert_stable_fingerprint(finding: Finding) -> None:
    """The fingerprint outlives edits above the place and further steps."""
    moved = finding.site and replace(finding.site, line=finding.site.line + 7)
    later = replace(finding, site=moved, count=finding.count + 1, last_step=finding.last_step + 1)
    assert later.fingerprint == finding.fingerprint


def assert_valid_report(report: dict[str, Any]) -> None:
    """The report has the form of the schema, and its summary counts its findings."""
    Draft202012Validator(REPORT_SCHEMA).validate(report)
    counted = Counter(finding["severity"] for finding in report["findings"])
    assert report["summary"] == {severity: counted[severity] for severity in ("error", "warning", "info")}
