"""What came of comparing two runs, as JSON; `docs/comparing.md` describes the form."""

import json
from typing import Any

from tensorcheck.comparing.comparison import Comparison, Parting, Place, SettingsChange, Unmatched
from tensorcheck.comparing.tolerances import Tolerance
from tensorcheck.render.json import location_json
from tensorcheck.trace import Operation

Json = dict[str, Any]


def document(comparison: Comparison, *, strict: bool = False) -> str:
    """The text of a JSON file.

    >>> json.loads(document(Comparison(steps=(0,))))["same"]
    True
    """
    first = next(comparison.counted(strict=strict), None)
    told = {
        "schema_version": 1,
        "same": first is None,
        "steps": list(comparison.steps),
        "only_first_steps": list(comparison.only_left),
        "only_second_steps": list(comparison.only_right),
        "operations": comparison.operations,
        "values": comparison.values,
        "gradients": comparison.gradients,
        "undecided": comparison.undecided,
        "fingerprinted": comparison.is_fingerprinted,
        "tolerance": _tolerance(comparison.widest),
        "first_difference": _unmatched(first) if isinstance(first, Unmatched) else _parting(first),
        "differences": list(map(_parting, comparison.partings)),
        "unmatched": list(map(_unmatched, comparison.unmatched)),
        "renamed": [{"first": one, "second": two} for one, two in comparison.renames],
        "settings": list(map(_settings, comparison.settings)),
        "environments": list(comparison.environments),
    }
    return json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _tolerance(tolerance: Tolerance | None) -> Json | None:
    if tolerance is None:
        return None
    return {"relative": tolerance.relative, "absolute": tolerance.absolute, "source": tolerance.source}


def _parting(parting: Parting | None) -> Json | None:
    if parting is None:
        return None
    return {
        "step": parting.step,
        "aspect": parting.aspect.value,
        "first": _place(parting.left),
        "second": _place(parting.right),
        "distance": parting.distance if parting.tolerance is not None else None,
        "tolerance": _tolerance(parting.tolerance),
        "notes": list(parting.notes),
    }


def _place(place: Place) -> Json:
    meta, fingerprint = place.value.meta, place.value.fingerprint
    return {
        "name": place.value.name,
        "shape": list(meta.shape),
        "dtype": meta.dtype,
        "device": meta.device,
        "requires_grad": meta.requires_grad,
        "values": None if fingerprint is None else fingerprint.text,
        "operation": None if place.operation is None else _operation(place.operation),
    }


def _operation(operation: Operation) -> Json:
    return {
        "name": operation.name,
        "module": operation.module,
        "kind": operation.kind,
        "call": operation.call,
        "location": None if operation.site is None else location_json(operation.site),
    }


def _unmatched(each: Unmatched) -> Json:
    return {
        "step": each.step,
        "only": "first" if each.is_left else "second",
        "operation": _operation(each.what) if isinstance(each.what, Operation) else None,
        "gradient": each.what if isinstance(each.what, str) else None,
    }


def _settings(change: SettingsChange) -> Json:
    return {"module": change.path, "kind": change.kind, "first": change.left, "second": change.right}
