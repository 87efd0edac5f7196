"""The rules of one model in one session, and what happens when one of them fails."""

import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from tensorcheck.catalogue import Entry
from tensorcheck.events.event import Event
from tensorcheck.events.internal import ProbeFailed
from tensorcheck.findings import Finding
from tensorcheck.rule import Rule


class Judge:
    """Hands each event to the rules that subscribe to its class.

    >>> from tensorcheck.catalogue import entries
    >>> judge = Judge(entries())
    >>> [finding.rule for finding in judge.judge(ProbeFailed(step=0, part="LossProbe", traceback=""))]
    ['TCK001']
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[type[Event], list[Entry]] = defaultdict(list)
        for entry in entries:
            for event in entry.events:
                self._entries[event].append(entry)
        self._rules: dict[str, Rule[Any]] = {}
        """Those that had an event to judge, by their codes."""

    def judge(self, event: Event) -> Iterator[Finding]:
        """What the rules say of this event; a rule that raises is dropped, and TCK001 says so."""
        for entry in tuple(self._entries.get(type(event), ())):
            try:
                yield from self._rule(entry).check(event)
            except RecursionError:  # the user's stack is used up, which is no fault of the rule's
                raise
            except Exception:  # noqa: BLE001 - whatever a rule raises, the training goes on
                yield from self._dropped(entry, event)

    def _rule(self, entry: Entry) -> Rule[Any]:
        if entry.code not in self._rules:
            self._rules[entry.code] = entry.rule()()
        return self._rules[entry.code]

    def _dropped(self, entry: Entry, event: Event) -> Iterator[Finding]:
        for subscribers in self._entries.values():
            if entry in subscribers:
                subscribers.remove(entry)
        if not isinstance(event, ProbeFailed):
            yield from self.judge(ProbeFailed(event.step, f"{entry.code} ({entry.name})", traceback.format_exc()))
