"""A record as SARIF 2.1.0, the form in which GitHub's code scanning and editors take findings from any tool.

The standard is OASIS' "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; § stands for its sections.
GitHub refuses a result without a place and a line, so one that has none names `_NOWHERE`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from tensorcheck.findings import Category, Finding, Severity
from tensorcheck.record import Record, RuleFacts
from tensorcheck.render import sentences
from tensorcheck.render.harmless import harmless
from tensorcheck.sites import Site

Json = dict[str, Any]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"
_NOWHERE = Site("no place in the code", 1)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_IN_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "recommendation"}


def document(record: Record) -> str:
    """The text of a SARIF file.

    >>> document(Record(version="0.1.0")).splitlines()[2]
    '  "version": "2.1.0",'
    """
    return json.dumps(to_sarif(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_sarif(record: Record) -> Json:
    """The record as a SARIF log of one run.

    >>> to_sarif(Record(version="0.1.0"))["runs"][0]["results"]
    []
    """
    rules = _rules(record)
    indices = {rule.code: index for index, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "tensorcheck",
                "version": harmless(record.version),
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "invocations": [_invocation(record)],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The folder that the run was started in."}}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, indices[finding.rule]) for finding in sentences.worst_first(record)],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules(record: Record) -> list[RuleFacts]:
    """What is known of the rule of each finding, in the order of the codes."""
    known = {rule.code: rule for rule in record.rules}
    named = {
        finding.rule: RuleFacts(finding.rule, finding.name, finding.severity, finding.name)
        for finding in record.findings
    }
    return [known.get(code, named[code]) for code in sorted(named)]


def _rule(rule: RuleFacts) -> Json:
    facts: Json = {
        "id": harmless(rule.code),
        "name": harmless(rule.name),
        "shortDescription": {"text": _escaped(harmless(rule.summary))},
        "fullDescription": {"text": _escaped(harmless(rule.summary))},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {
            "tags": [Category.of(rule.code).value],
            "problem.severity": _IN_GITHUB[rule.severity],
            "precision": "very-high" if rule.severity is Severity.ERROR else "high",
        },
    }
    page = rule.page or f"`tensorcheck explain {harmless(rule.code)}` explains the rule."
    return facts | {"help": {"text": page, "markdown": page}}


def _invocation(record: Record) -> Json:
    """The command, and what was not looked at, so that a run that saw little never looks clean."""
    return {
        "executionSuccessful": True,
        "commandLine": harmless(record.command),
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": _escaped(harmless(text))}} for level, text in _notifications(record)
        ],
    }


def _notifications(record: Record) -> Iterator[tuple[str, str]]:
    if not sentences.saw_anything(record.coverage):
        yield "warning", "No model and no step was seen."
    yield "note", f"Seen: {sentences.seen(record.coverage)}."
    for skipped in record.coverage.skipped:
        yield "note", f"Skipped: {skipped.what}, because {skipped.why}."


def _result(finding: Finding, rule: int) -> Json:
    result: Json = {
        "ruleId": harmless(finding.rule),
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": _escaped("\n".join(sentences.in_lines(finding)))},
        "locations": [_location(finding.site or _NOWHERE)],
        "partialFingerprints": {"tensorcheck/v1": finding.fingerprint},
        "occurrenceCount": finding.count,
    }
    if finding.related:
        result["relatedLocations"] = [
            {"id": number, **_location(place.site), "message": {"text": _escaped(harmless(place.note))}}
            for number, place in enumerate(finding.related, 1)
        ]
    if finding.module:
        result["properties"] = {"module": harmless(finding.module)}
    return result


def _location(site: Site) -> Json:
    location: Json = {"physicalLocation": {"artifactLocation": _artifact(site.file), "region": _region(site)}}
    if site.function:
        location["logicalLocations"] = [{"fullyQualifiedName": harmless(site.function), "kind": "function"}]
    return location


def _artifact(file: str) -> Json:
    """A file below the run's folder is named from there on; any other by a URI of its own."""
    path = _path(file)
    uri = quote(path.as_posix(), errors="backslashreplace")
    if path.is_absolute():
        return {"uri": f"file://{'' if uri.startswith('/') else '/'}{uri}"}
    return {"uri": uri, "uriBaseId": _ROOT}


def _path(file: str) -> PurePath:
    windows = PureWindowsPath(file)
    return windows if windows.drive and windows.is_absolute() else PurePosixPath(file)


def _region(site: Site) -> Json:
    """Both count characters from 1 and leave the end column out."""
    region: Json = {"startLine": max(site.line, 1)}
    if site.column < 1 or site.line < 1:
        return region
    region |= {"startColumn": site.column, "endColumn": max(site.end_column, site.column)}
    snippet = site.source[site.column - 1 : site.end_column - 1]
    # A snippet has to be what the file holds, so one with anything that has to be written out is left out.
    if snippet and harmless(snippet) == snippet:
        region["snippet"] = {"text": snippet}
    return region


def _escaped(text: str) -> str:
    """A literal text, which has no placeholder (§3.11.5) and no link (§3.11.6).

    Viewers show a brace doubled that the standard has doubled everywhere, so only `{0}` and its like are. `](` alone
    makes a link, and an escape with a backslash is shown where there is none.

    >>> _escaped("layers[0](x) of {0} in {'a': 1}")
    "layers[0] (x) of {{0}} in {'a': 1}"
    """
    return re.sub(r"\{(\d+)\}", r"{{\1}}", text).replace("](", "] (")
