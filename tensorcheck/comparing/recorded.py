"""The traced steps of a run as one file, `trace.json`; `reading.py` reads it back, `docs/comparing.md` describes it."""

import json
import math
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorcheck.atomic import write_whole
from tensorcheck.fingerprints import Fingerprint
from tensorcheck.modules import ModuleMeta
from tensorcheck.record import Environment
from tensorcheck.sites import Site
from tensorcheck.trace import Operation, Trace, Value

SCHEMA_VERSION = 1
TRACE = "trace.json"
"""The name of the file in the folder of a run."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """What is compared with another run.

    >>> RecordedRun(steps=(Trace(0),)).is_fingerprinted
    False
    """

    version: str = ""
    """The version of tensorcheck."""
    command: str = ""
    environment: Environment = field(default_factory=Environment)
    steps: tuple[Trace, ...] = ()

    @property
    def is_fingerprinted(self) -> bool:
        """Whether anything is known of the values of its tensors."""
        return any(value.fingerprint is not None for trace in self.steps for value in trace.values)

    def save(self, path: str | Path) -> None:
        """Write it into a file, whole or not at all."""
        write_whole(Path(path), document(self), what="trace")


def environment_here() -> Environment:
    """The versions of this process; PyTorch's if it was imported."""
    version = getattr(sys.modules.get("torch"), "__version__", "")
    return Environment(str(version), platform.python_version())


def document(run: RecordedRun) -> str:
    """The text of the file, one line a step: a trace is long, and nobody reads it.

    >>> len(document(RecordedRun(steps=(Trace(0), Trace(1)))).splitlines())
    6
    """
    head = {
        "schema_version": SCHEMA_VERSION,
        "tensorcheck_version": run.version,
        "command": run.command,
        "environment": {
            "torch": run.environment.torch,
            "python": run.environment.python,
            "devices": list(run.environment.devices),
        },
    }
    steps = ",\n".join(_dumped(_step(trace)) for trace in run.steps)
    return f'{_dumped(head)[:-1]},\n"steps": [\n{steps}\n]\n}}\n'


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _step(trace: Trace) -> Json:
    return {
        "step": trace.step,
        "modules": list(map(_module, trace.modules)),
        "operations": list(map(_operation, trace.operations)),
        "values": list(map(_value, trace.values)),
        "gradients": list(map(_value, trace.gradients)),
    }


def _module(module: ModuleMeta) -> Json:
    return {"path": module.path, "kind": module.kind, "settings": plain_settings(module.settings)}


def plain_settings(settings: Mapping[str, object]) -> Json:
    """A module's settings as JSON has them.

    >>> plain_settings({"kernel_size": (3, 3), "high": float("inf")})
    {'kernel_size': [3, 3], 'high': 'inf'}
    """
    return {name: _plain(value) for name, value in settings.items()}


def _plain(value: object) -> object:
    match value:
        case tuple() | list():
            return list(map(_plain, value))
        case float() if not math.isfinite(value):
            return str(value)
        case bool() | int() | float() | str() | None:
            return value
    return type(value).__name__


def _operation(operation: Operation) -> Json:
    return {
        "name": operation.name,
        "module": operation.module,
        "kind": operation.kind,
        "call": operation.call,
        "site": None if operation.site is None else _site(operation.site),
        "inputs": list(operation.inputs),
        "outputs": list(operation.outputs),
    }


def _site(site: Site) -> Json:
    return {
        "file": site.file,
        "line": site.line,
        "column": site.column,
        "end_column": site.end_column,
        "code": site.code,
        "source": site.source,
        "function": site.function,
    }


def _value(value: Value) -> Json:
    return {
        "name": value.name,
        "shape": list(value.meta.shape),
        "dtype": value.meta.dtype,
        "device": value.meta.device,
        "requires_grad": value.meta.requires_grad,
        "is_leaf": value.meta.is_leaf,
        "operation": value.operation,
        "origin": None if value.origin is None else value.origin.value,
        "fingerprint": None if value.fingerprint is None else _fingerprint(value.fingerprint),
    }


def _fingerprint(fingerprint: Fingerprint) -> Json:
    return {
        "count": fingerprint.count,
        "norm": fingerprint.norm,
        "mean": fingerprint.mean,
        "low": fingerprint.low,
        "high": fingerprint.high,
        "nan": fingerprint.nan,
        "inf": fingerprint.inf,
        "sketch": list(fingerprint.sketch),
    }
