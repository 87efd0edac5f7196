"""What a test run and the marker of a test want."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from tensorcheck.configuration import SettingsError, checked_code, read_settings
from tensorcheck.findings import Severity
from tensorcheck.settings import Settings

_KEYS = ("ignore", "select", "simulate_device", "fail_on", "expect")
_KINDS = ("cuda", "xpu", "mps")


@dataclass(frozen=True, slots=True)
class Wishes:
    """How one test is watched."""

    settings: Settings
    fail_on: Severity | None
    """From which severity on a finding fails the test; None for never."""
    expected: tuple[str, ...] = ()
    """The codes, or beginnings of codes, of the findings that have to come."""
    simulate_device: str = ""


def wishes_of_run(config: pytest.Config) -> Wishes:
    """What the command line and the ini file want; a `pytest.UsageError` says what can't be meant."""
    select = config.getoption("--tensorcheck-select") or config.getini("tensorcheck_select")
    ignore = config.getoption("--tensorcheck-ignore") or config.getini("tensorcheck_ignore")
    try:
        settings = read_settings(config.rootpath, select=select, ignore=ignore)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from error
    return Wishes(
        settings, _severity(config.getoption("--tensorcheck-fail-on") or config.getini("tensorcheck_fail_on"))
    )


def wishes_of_test(item: pytest.Item, of_run: Wishes) -> Wishes:
    """What its markers want, the nearest first, over what the run wants; a `ValueError` says what can't be meant."""
    settings, found = of_run.settings, _marked(item)
    settings = settings.with_flags(
        select=_codes("select", found.get("select", ())), ignore=_codes("ignore", found.get("ignore", ()))
    )
    kind = found.get("simulate_device") or ""
    if kind and kind not in _KINDS:
        msg = f"marker tensorcheck: simulate_device is one of {', '.join(_KINDS)}, not {kind!r}"
        raise ValueError(msg)
    fail_on = of_run.fail_on if found.get("fail_on") is None else _severity(found["fail_on"])
    return Wishes(settings, fail_on, _codes("expect", found.get("expect", ())), kind)


def _marked(item: pytest.Item) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for mark in item.iter_markers("tensorcheck"):
        unknown = [name for name in mark.kwargs if name not in _KEYS]
        if unknown or mark.args:
            wrong = unknown[0] if unknown else repr(mark.args[0])
            msg = f"marker tensorcheck: it takes {', '.join(f'{key}=' for key in _KEYS)} and no {wrong}"
            raise ValueError(msg)
        found = {**mark.kwargs, **found}
    return found


def _codes(name: str, given: str | Iterable[str] | None) -> tuple[str, ...]:
    several = given.split(",") if isinstance(given, str) else given or ()
    return tuple(checked_code(f"marker tensorcheck: {name}", code) for code in several)


def _severity(name: str) -> Severity | None:
    if name == "never":
        return None
    try:
        return Severity(name)
    except ValueError:
        msg = f"marker tensorcheck: fail_on is error, warning or never, not {name!r}"
        raise ValueError(msg) from None
