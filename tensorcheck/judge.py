"""The rules of one model in one session, and what happens when one of them fails."""

import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from tensorcheck.catalogue import RuleType
from tensorcheck.events.event import Event
from tensorcheck.events.internal import ProbeFailed
from tensorcheck.findings import Finding
from tensorcheck.rule import Rule


class Judge:
    """Hands each event to the rules that subscribe to its class.

    >>> from tensorcheck.catalogue import all_rules
    >>> judge = Judge(all_rules())
    >>> [finding.rule for finding in judge.judge(ProbeFailed(step=0, part="LossProbe", traceback=""))]
    ['TCK001']
    """

    def __init__(self, rules: Iterable[RuleType]) -> None:
        self._rules: dict[type[Event], list[Rule[Any]]] = defaultdict(list)
        for rule in (rule() for rule in rules):
            for event in rule.events:
                self._rules[event].append(rule)

    def judge(self, event: Event) -> Iterator[Finding]:
        """What the rules say of this event; a rule that raises is dropped, and TCK001 says so."""
        for rule in tuple(self._rules.get(type(event), ())):
            try:
                yield from rule.check(event)
            except Exception:  # noqa: BLE001 - whatever a rule raises, the training goes on
                yield from self._dropped(rule, event)

    def _dropped(self, rule: Rule[Any], event: Event) -> Iterator[Finding]:
        for subscribers in self._rules.values():
            if rule in subscribers:
                subscribers.remove(rule)
        if not isinstance(event, ProbeFailed):
            yield from self.judge(ProbeFailed(event.step, f"{rule.code} ({rule.name})", traceback.format_exc()))
