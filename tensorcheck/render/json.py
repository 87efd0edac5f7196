"""A record as JSON, for other tools, and back.

`report.schema.json` beside this file describes the form for its readers; a test holds the two together. The source line
and the function around a place are not part of the form; `reread.py` gets the lines back where the files still have
them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.record import Coverage, Environment, Record, Skipped
from tensorcheck.render.preflight_json import preflight_json, read_preflight
from tensorcheck.sites import Site

SCHEMA_VERSION = 1

Json = dict[str, Any]
"""A JSON object; its values are what `json.loads` returns."""


class ReportFormatError(ValueError):
    """A file that should be a report is none, or is one of another version; the message says which."""


def document(record: Record) -> str:
    """The record as the text of a JSON file.

    >>> document(Record(version="0.1.0")).splitlines()[1]
    '  "schema_version": 1,'
    """
    return json.dumps(to_json(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_json(record: Record) -> Json:
    """The record in the form of `report.schema.json`.

    >>> to_json(Record(version="0.1.0"))["summary"]
    {'error': 0, 'warning': 0, 'info': 0}
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "tensorcheck_version": record.version,
        "command": record.command,
        "environment": {
            "torch": record.environment.torch,
            "python": record.environment.python,
            "devices": list(record.environment.devices),
        },
        "summary": {severity.value: count for severity, count in record.counts.items()},
        "findings": [{**_finding(finding), "rank": record.rank} for finding in record.findings],
        "coverage": _coverage(record.coverage),
        **({"preflight": preflight_json(record.preflight)} if record.preflight is not None else {}),
    }


def _finding(finding: Finding) -> Json:
    return {
        "rule": finding.rule,
        "name": finding.name,
        "category": finding.category.value,
        "severity": finding.severity.value,
        "headline": finding.headline,
        "label": finding.label,
        "expected": finding.expected,
        "got": finding.got,
        "path": list(finding.path),
        "notes": list(finding.notes),
        "help": finding.help,
        "tried": "passed" if finding.tried else None,
        "module": finding.module,
        "location": location_json(finding.site) if finding.site else None,
        "related": [
            {"file": place.site.file, "line": place.site.line, "note": place.note} for place in finding.related
        ],
        "fingerprint": finding.fingerprint,
        "count": finding.count,
        "first_step": finding.first_step,
        "last_step": finding.last_step,
    }


def location_json(site: Site) -> Json:
    """A place as all our JSON has it.

    >>> location_json(Site("train.py", 4))["line"]
    4
    """
    return {
        "file": site.file,
        "line": site.line,
        "column": site.column,
        "end_column": site.end_column,
        "code": site.code,
    }


def _coverage(coverage: Coverage) -> Json:
    return {
        "models": coverage.models,
        "steps": coverage.steps,
        "traced": coverage.traced,
        "experiments": list(coverage.experiments),
        "skipped": [asdict(skipped) for skipped in coverage.skipped],
        "cost": coverage.cost,
    }


def from_json(report: Mapping[str, Any]) -> Record:
    """The record that a report was made from, as far as the form carries it.

    A report of another `schema_version`, or something that is no report, is a `ReportFormatError`.

    >>> from_json(to_json(Record(version="0.1.0"))).version
    '0.1.0'
    """
    _refuse_other_versions(report)
    try:
        return Record(
            version=_text(report["tensorcheck_version"]),
            command=_text(report["command"]),
            environment=_read_environment(report["environment"]),
            findings=tuple(map(_read_finding, report["findings"])),
            coverage=_read_coverage(report["coverage"]),
            rank=next((finding["rank"] for finding in report["findings"]), 0),
            preflight=read_preflight(report["preflight"]) if "preflight" in report else None,
        )
    except KeyError as error:
        msg = f"this is no tensorcheck report: {error.args[0]!r} is missing"
        raise ReportFormatError(msg) from error
    except (AttributeError, TypeError, ValueError) as error:
        msg = f"this is no tensorcheck report: {error}"
        raise ReportFormatError(msg) from error


def _refuse_other_versions(report: Mapping[str, Any]) -> None:
    version = report.get("schema_version") if isinstance(report, Mapping) else None
    if version is None:
        msg = "this is no tensorcheck report: it has no 'schema_version'"
        raise ReportFormatError(msg)
    if version != SCHEMA_VERSION:
        msg = f"this report has schema_version {version!r}; this version of tensorcheck reads {SCHEMA_VERSION}"
        raise ReportFormatError(msg)


def _read_environment(environment: Json) -> Environment:
    return Environment(_text(environment["torch"]), _text(environment["python"]), _texts(environment["devices"]))


def _read_finding(finding: Json) -> Finding:
    location, module = finding["location"], finding["module"]
    return Finding(
        rule=_code(finding["rule"]),
        name=_text(finding["name"]),
        severity=Severity(finding["severity"]),
        headline=_text(finding["headline"]),
        label=_text(finding["label"]),
        expected=_text(finding["expected"]),
        got=_text(finding["got"]),
        site=None if location is None else _read_site(location),
        module=None if module is None else _text(module),
        related=tuple(map(_read_related, finding["related"])),
        notes=_texts(finding["notes"]),
        path=_texts(finding["path"]),
        help=_text(finding["help"]),
        tried=_text(finding["tried"] or ""),
        count=_number(finding["count"]),
        first_step=_number(finding["first_step"]),
        last_step=_number(finding["last_step"]),
    )


def _read_site(location: Json) -> Site:
    return Site(
        _text(location["file"]),
        _number(location["line"]),
        _number(location["column"]),
        _number(location["end_column"]),
        code=_text(location["code"]),
    )


def _read_related(place: Json) -> Related:
    return Related(Site(_text(place["file"]), _number(place["line"])), _text(place["note"]))


def _read_coverage(coverage: Json) -> Coverage:
    cost = coverage["cost"]
    return Coverage(
        models=_number(coverage["models"]),
        steps=_number(coverage["steps"]),
        traced=_number(coverage["traced"]),
        experiments=_texts(coverage["experiments"]),
        skipped=tuple(Skipped(_text(skipped["what"]), _text(skipped["why"])) for skipped in coverage["skipped"]),
        cost=None if cost is None else _share(cost),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{value!r} is no text"
        raise TypeError(msg)
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        msg = f"{values!r} is no list"
        raise TypeError(msg)
    return tuple(map(_text, values))


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        msg = f"{value!r} is no count"
        raise TypeError(msg)
    return value


def _share(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        msg = f"{value!r} is no share"
        raise TypeError(msg)
    return value


def _code(value: object) -> str:
    code = _text(value)
    if not re.fullmatch(r"TCK[0-9]{3}", code):
        msg = f"{code!r} is no rule's code"
        raise ValueError(msg)
    return code
