"""Every rule there is, found by walking `tensorcheck.rules`: a file that is there is a rule that runs."""

import difflib
import functools
import importlib
import inspect
import pkgutil
from dataclasses import replace
from typing import Any

from tensorcheck import rules
from tensorcheck.record import Record, RuleFacts
from tensorcheck.rule import Rule

RuleType = type[Rule[Any]]


class UnknownRuleError(LookupError):
    """No rule has this code or name; the message suggests the nearest."""


@functools.cache
def all_rules() -> tuple[RuleType, ...]:
    """Every rule, in the order of the codes.

    >>> [rule.code for rule in all_rules()] == sorted(rule.code for rule in all_rules())
    True
    """
    modules = pkgutil.walk_packages(rules.__path__, f"{rules.__name__}.")
    found = [
        member
        for info in modules
        for member in vars(importlib.import_module(info.name)).values()
        if isinstance(member, type) and issubclass(member, Rule) and member.__module__ == info.name
    ]
    return tuple(sorted(found, key=lambda rule: rule.code))


def find_rule(code_or_name: str) -> RuleType:
    """The rule of this code (`TCK202`) or name (`loss-broadcast`), in any case.

    >>> find_rule("loss-broadcast").code
    'TCK202'
    """
    known = {key: rule for rule in all_rules() for key in (rule.code.lower(), rule.name)}
    wanted = code_or_name.lower()
    if wanted not in known:
        nearest = difflib.get_close_matches(wanted, known, n=1)
        hint = f"; did you mean {known[nearest[0]].code} ({known[nearest[0]].name})?" if nearest else ""
        msg = f"there is no rule {code_or_name!r}{hint}"
        raise UnknownRuleError(msg)
    return known[wanted]


def with_rules(record: Record) -> Record:
    """The record with what is to be said of the rules that its findings are of; a rule that is not there is left out.

    >>> with_rules(Record(version="0.1.0")).rules
    ()
    """
    found = {finding.rule for finding in record.findings}
    return replace(record, rules=tuple(facts_of(rule) for rule in all_rules() if rule.code in found))


def facts_of(rule: RuleType) -> RuleFacts:
    """What reports say of a rule.

    >>> facts_of(find_rule("TCK202")).name
    'loss-broadcast'
    """
    page = inspect.cleandoc(rule.__doc__ or "")
    return RuleFacts(rule.code, rule.name, rule.severity, rule.page.summary, page)
