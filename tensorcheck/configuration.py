"""The settings of a project: `[tool.tensorcheck]` of its pyproject.toml and the flags over it, checked key by key.

A project without a table of ours costs the reading of one file: nothing is parsed, and no rule is imported.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tensorcheck.findings import Severity
from tensorcheck.settings import ALL, Settings

if TYPE_CHECKING:
    from tensorcheck.catalogue import Entry

KEYS = ("select", "ignore", "severity", "per-path-ignores", "budget")


class SettingsError(ValueError):
    """A setting that can't be meant; the message names the key, what is wanted and the nearest name."""


def read_settings(directory: Path, *, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> Settings:
    """The settings of the nearest pyproject.toml at or above the folder that a run is started in, with flags over them.

    A flag may be given several times and each time with several codes: `["TCK2", "TCK401,TCK402"]`. A `SettingsError`
    names the file and the key, or the flag.

    >>> read_settings(Path("/"), ignore=["TCK4"]).selects("TCK401")
    False
    """
    folder = directory.absolute()
    file = next((above / "pyproject.toml" for above in (folder, *folder.parents) if _has_file(above)), None)
    settings = Settings() if file is None else _settings_of(file, folder)
    return settings.with_flags(select=_flag("--select", select), ignore=_flag("--ignore", ignore))


def _has_file(folder: Path) -> bool:
    try:
        return (folder / "pyproject.toml").is_file()
    except OSError:
        return False  # a folder above that may not be looked into


def _flag(name: str, parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(checked_code(name, code) for part in parts for code in part.split(","))


def _settings_of(file: Path, started_in: Path) -> Settings:
    """What a pyproject.toml says; the defaults where it has no table of ours."""
    table = _table_of(file)
    for key in table:
        if key not in KEYS:
            msg = f"{file}: [tool.tensorcheck] has no key {key!r}{_nearest(key, KEYS)}"
            raise SettingsError(msg)
    try:
        return replace(settings_from(table), root=str(file.parent), started_in=str(started_in))
    except SettingsError as error:
        msg = f"{file}: {error}"
        raise SettingsError(msg) from error


def _table_of(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_bytes()
        if b"tensorcheck" not in text:
            return {}
        import tomllib  # noqa: PLC0415 - most projects have no table of ours

        content = tomllib.loads(text.decode())
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{file} can't be read: {error}"
        raise SettingsError(msg) from error
    tool = content.get("tool", {})
    table = tool.get("tensorcheck", {}) if isinstance(tool, Mapping) else {}
    if not isinstance(table, Mapping):
        msg = f"{file}: tool.tensorcheck is a table, not {table!r}"
        raise SettingsError(msg)
    return table


def settings_from(table: Mapping[str, Any]) -> Settings:
    """The settings of a table whose keys are known.

    >>> settings_from({"select": ["TCK2"], "severity": {"TCK202": "warning"}}).select
    ('TCK2',)
    >>> settings_from({"ignore": ["TCK29"]})
    Traceback (most recent call last):
    tensorcheck.configuration.SettingsError: ignore: no rule's code is or starts with 'TCK29'; did you mean 'TCK429'?
    """
    severities = _mapping("severity", table.get("severity", {}))
    per_path = _mapping("per-path-ignores", table.get("per-path-ignores", {}))
    return Settings(
        select=_codes("select", table.get("select", ALL)),
        ignore=_codes("ignore", table.get("ignore", ())),
        severity=MappingProxyType(
            {checked_code("severity", code): _severity(code, name) for code, name in severities.items()}
        ),
        per_path_ignores=MappingProxyType(
            {pattern: _codes(f"per-path-ignores.{pattern!r}", codes) for pattern, codes in per_path.items()}
        ),
        budget=checked_budget(table["budget"]) if "budget" in table else None,
    )


def checked_budget(value: object) -> float:
    """The part of a run's time that watching may take; a `SettingsError` says what is no such part.

    >>> checked_budget(0.01)
    0.01
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        msg = f"budget is the part of the time that watching may take, such as 0.01, and not {value!r}"
        raise SettingsError(msg)
    return float(value)


def _mapping(key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        msg = f"{key} is a table, not {value!r}"
        raise SettingsError(msg)
    return value


def _codes(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        msg = f'{key} is a list of codes such as ["TCK202", "TCK4"], not {value!r}'
        raise SettingsError(msg)
    return tuple(checked_code(key, code) for code in value)


def checked_code(key: str, code: object) -> str:
    """The code of a rule, or the start of some; a `SettingsError` names the key and the nearest code.

    >>> checked_code("--select", "tck2")
    'TCK2'
    """
    from tensorcheck.catalogue import entries  # noqa: PLC0415 - most projects name no rule

    if not isinstance(code, str):
        msg = f'{key}: a rule is named by its code, such as "TCK202", not by {code!r}'
        raise SettingsError(msg)
    wanted = code.strip().upper()
    if wanted in ALL:
        return wanted  # known without importing a rule
    if not wanted.startswith(ALL) or not any(rule.code.startswith(wanted) for rule in entries()):
        msg = f"{key}: no rule's code is or starts with {code!r}{_nearest_code(code.strip(), entries())}"
        raise SettingsError(msg)
    return wanted


def _severity(code: str, value: object) -> Severity:
    names = [severity.value for severity in Severity]
    if value not in names:
        hint = _nearest(value, names) if isinstance(value, str) else ""
        msg = f"severity.{code} is one of {', '.join(map(repr, names))}, not {value!r}{hint}"
        raise SettingsError(msg)
    return Severity(value)


def _nearest_code(code: str, rules: "Iterable[Entry]") -> str:
    names = {name: rule.code for rule in rules for name in (rule.code, rule.name)}
    near = difflib.get_close_matches(code.upper(), names, n=1) or difflib.get_close_matches(code.lower(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
