"""Reading a `trace.json`, which may be anybody's: what is no trace is refused in a sentence."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from tensorcheck.comparing.recorded import SCHEMA_VERSION, TRACE, Json, RecordedRun
from tensorcheck.fingerprints import SKETCH, Fingerprint
from tensorcheck.modules import ModuleMeta
from tensorcheck.record import Environment
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tensorcheck.trace import Operation, Origin, Trace, Value

_LARGEST = 1 << 30
"""Bytes."""


class TraceFormatError(ValueError):
    """A file that should be a trace is none, or can't be read; the message says which file and why."""


def read_run(path: Path) -> RecordedRun:
    """The run of a `trace.json`, or of the folder that holds one.

    >>> read_run(Path("no/such/run"))
    Traceback (most recent call last):
    tensorcheck.comparing.reading.TraceFormatError: no/such/run can't be read: No such file or directory
    """
    file = path / TRACE if path.is_dir() else path
    try:
        return from_json(json.loads(_text_of(file), parse_constant=_refuse_constant))
    except OSError as error:
        hint = "; `tensorcheck run --run-dir` writes it" if file != path else ""
        msg = f"{file} can't be read: {error.strerror or error}{hint}"
        raise TraceFormatError(msg) from error
    except TraceFormatError as error:
        msg = f"{file}: {error}"
        raise TraceFormatError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{file} is no JSON: {error}"
        raise TraceFormatError(msg) from error


def _text_of(file: Path) -> str:
    if file.exists() and not file.is_file():
        msg = "it is no file"
        raise TraceFormatError(msg)
    if file.stat().st_size > _LARGEST:
        msg = f"it is larger than {_LARGEST >> 30} GB"
        raise TraceFormatError(msg)
    return file.read_bytes().decode("utf-8", "surrogatepass")


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is no number of JSON"
    raise ValueError(msg)


def from_json(run: Json) -> RecordedRun:
    """The run that a trace was made from; another `schema_version`, or no trace at all, is a `TraceFormatError`.

    >>> from_json({"schema_version": 9})
    Traceback (most recent call last):
    tensorcheck.comparing.reading.TraceFormatError: it has schema_version 9, and this version of tensorcheck reads 1
    """
    version = run.get("schema_version") if isinstance(run, Mapping) else None
    if version is None:
        msg = "it is no trace of tensorcheck: it has no 'schema_version'"
        raise TraceFormatError(msg)
    if version != SCHEMA_VERSION:
        msg = f"it has schema_version {version!r}, and this version of tensorcheck reads {SCHEMA_VERSION}"
        raise TraceFormatError(msg)
    try:
        return _run(run)
    except KeyError as error:
        msg = f"it is no trace of tensorcheck: {error.args[0]!r} is missing"
        raise TraceFormatError(msg) from error
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        msg = f"it is no trace of tensorcheck: {error}"
        raise TraceFormatError(msg) from error


def _run(run: Json) -> RecordedRun:
    environment = run["environment"]
    return RecordedRun(
        version=_text(run["tensorcheck_version"]),
        command=_text(run["command"]),
        environment=Environment(
            _text(environment["torch"]), _text(environment["python"]), tuple(map(_text, _list(environment["devices"])))
        ),
        steps=tuple(map(_step, _list(run["steps"]))),
    )


def _step(step: Json) -> Trace:
    operations, values = _list(step["operations"]), _list(step["values"])
    return Trace(
        _count(step["step"]),
        operations=tuple(_operation(each, len(values)) for each in operations),
        values=tuple(_value(each, len(operations)) for each in values),
        gradients=tuple(_value(each, 0) for each in _list(step["gradients"])),
        modules=tuple(map(_module, _list(step["modules"]))),
    )


def _module(module: Json) -> ModuleMeta:
    settings = module["settings"]
    if not isinstance(settings, dict):
        msg = "a module's settings are no object"
        raise TypeError(msg)
    return ModuleMeta(_text(module["path"]), _text(module["kind"]), settings=settings)


def _operation(operation: Json, values: int) -> Operation:
    return Operation(
        _text(operation["name"]),
        _text(operation["module"]),
        _text(operation["kind"]),
        None if operation["site"] is None else _site(operation["site"]),
        inputs=tuple(_below(place, values) for place in _list(operation["inputs"])),
        outputs=tuple(_below(place, values) for place in _list(operation["outputs"])),
        call=_count(operation["call"]),
    )


def _site(site: Json) -> Site:
    return Site(
        _text(site["file"]),
        _count(site["line"]),
        _count(site["column"]),
        _count(site["end_column"]),
        code=_text(site["code"]),
        source=_text(site["source"]),
        function=_text(site["function"]),
    )


def _value(value: Json, operations: int) -> Value:
    origin, made, fingerprint = value["origin"], value["operation"], value["fingerprint"]
    sizes = tuple(map(_size, _list(value["shape"])))
    return Value(
        TensorMeta(
            sizes, _text(value["dtype"]), _text(value["device"]), _flag(value["requires_grad"]), _flag(value["is_leaf"])
        ),
        None if made is None else _below(made, operations),
        None if origin is None else Origin(_text(origin)),
        _text(value["name"]),
        None if fingerprint is None else _fingerprint(fingerprint),
    )


def _fingerprint(fingerprint: Json) -> Fingerprint:
    sketch = tuple(map(_real, _list(fingerprint["sketch"])))
    if len(sketch) != SKETCH:
        msg = f"a sketch has {len(sketch)} numbers and not {SKETCH}"
        raise ValueError(msg)
    return Fingerprint(
        _count(fingerprint["count"]),
        _real(fingerprint["norm"]),
        _real(fingerprint["mean"]),
        _real(fingerprint["low"]),
        _real(fingerprint["high"]),
        sketch,
        nan=_count(fingerprint["nan"]),
        inf=_count(fingerprint["inf"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{_shown(value)} is no text"
        raise TypeError(msg)
    return value


def _list(value: object) -> list[Json]:
    if not isinstance(value, list):
        msg = f"{_shown(value)} is no list"
        raise TypeError(msg)
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        msg = f"{_shown(value)} is neither true nor false"
        raise TypeError(msg)
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        msg = f"{_shown(value)} is no count"
        raise TypeError(msg)
    return value


def _size(value: object) -> int:
    """A size, or -1 for one that was not known."""
    return -1 if value == -1 else _count(value)


def _below(value: object, end: int) -> int:
    place = _count(value)
    if place >= end:
        msg = f"{place} is no place in a list of {end}"
        raise ValueError(msg)
    return place


def _real(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        msg = f"{_shown(value)} is no number"
        raise TypeError(msg)
    return float(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004 - enough to find it by
