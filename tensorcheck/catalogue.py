"""Every rule there is, found by walking `tensorcheck.rules`: a file that is there is a rule that runs."""

import difflib
import functools
import importlib
import importlib.resources
import inspect
import pkgutil
import re
from dataclasses import dataclass, replace
from typing import Any

from tensorcheck import events, rules
from tensorcheck.events.event import Event
from tensorcheck.record import Record, RuleFacts
from tensorcheck.rule import Rule

RuleType = type[Rule[Any]]

_RULE = re.compile(
    r'^class \w+\(Rule\[\s*(?P<events>[\w\s|]+?)\s*\]\):.+?^    code = "(?P<code>\w+)"\n    name = "(?P<name>[\w-]+)"',
    re.MULTILINE | re.DOTALL,
)
"""The lines that every rule begins with."""


class UnknownRuleError(LookupError):
    """No rule has this code or name; the message suggests the nearest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule, as far as its file tells without being imported.

    Many rules are never needed in a run, and what they know takes time to import: a rule is, with its first event.
    """

    code: str
    name: str
    module: str
    events: frozenset[type[Event]]
    """What it subscribes to."""

    def rule(self) -> RuleType:
        """The rule itself.

        >>> entry_of("TCK202").rule().__name__
        'LossBroadcast'
        """
        members = vars(importlib.import_module(self.module)).values()
        return next(each for each in members if isinstance(each, type) and vars(each).get("code") == self.code)


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Every rule, in the order of the codes; none is imported.

    >>> [entry.name for entry in entries() if entry.code == "TCK202"]
    ['loss-broadcast']
    """
    modules = pkgutil.walk_packages(rules.__path__, f"{rules.__name__}.")
    found = (_entry_in(info.name) for info in modules if not info.ispkg)
    return tuple(sorted((entry for entry in found if entry is not None), key=lambda entry: entry.code))


def _entry_in(module: str) -> Entry | None:
    package, _, name = module.rpartition(".")
    match = _RULE.search(importlib.resources.files(package).joinpath(f"{name}.py").read_text("utf-8"))
    if match is None:
        return None
    heard = frozenset(_events()[each] for each in re.split(r"\s*\|\s*", match["events"]))
    return Entry(match["code"], match["name"], module, heard)


@functools.cache
def _events() -> dict[str, type[Event]]:
    """Every class of events, by its name."""
    modules = pkgutil.iter_modules(events.__path__, f"{events.__name__}.")
    members = (member for info in modules for member in vars(importlib.import_module(info.name)).values())
    return {member.__name__: member for member in members if isinstance(member, type) and issubclass(member, Event)}


def all_rules() -> tuple[RuleType, ...]:
    """Every rule, imported, in the order of the codes.

    >>> [rule.code for rule in all_rules()] == sorted(rule.code for rule in all_rules())
    True
    """
    return tuple(entry.rule() for entry in entries())


def entry_of(code_or_name: str) -> Entry:
    """The entry of this code (`TCK202`) or name (`loss-broadcast`), in any case.

    >>> entry_of("loss-broadcast").code
    'TCK202'
    """
    known = {key: entry for entry in entries() for key in (entry.code.lower(), entry.name)}
    wanted = code_or_name.lower()
    if wanted not in known:
        nearest = difflib.get_close_matches(wanted, known, n=1)
        hint = f"; did you mean {known[nearest[0]].code} ({known[nearest[0]].name})?" if nearest else ""
        msg = f"there is no rule {code_or_name!r}{hint}"
        raise UnknownRuleError(msg)
    return known[wanted]


def find_rule(code_or_name: str) -> RuleType:
    """The rule of this code or name, imported.

    >>> find_rule("loss-broadcast").code
    'TCK202'
    """
    return entry_of(code_or_name).rule()


def with_rules(record: Record) -> Record:
    """The record with what is to be said of the rules that its findings are of; a rule that is not there is left out.

    >>> with_rules(Record(version="0.1.0")).rules
    ()
    """
    found = {finding.rule for finding in record.findings}
    return replace(record, rules=tuple(facts_of(entry.rule()) for entry in entries() if entry.code in found))


def facts_of(rule: RuleType) -> RuleFacts:
    """What reports say of a rule.

    >>> facts_of(find_rule("TCK202")).name
    'loss-broadcast'
    """
    page = inspect.cleandoc(rule.__doc__ or "")
    return RuleFacts(rule.code, rule.name, rule.severity, rule.page.summary, page)
