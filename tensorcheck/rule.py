"""What a rule is: one mistake, the events that show it, and the page that explains it.

A rule's docstring is its documentation page, the text of `tensorcheck explain` and two of its tests, so its sections
are fixed and `Page` reads them; anything else in a rule's docstring is refused when its page is asked for.
"""

import functools
import inspect
import re
import typing
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from tensorcheck.events.event import Event, Instrument
from tensorcheck.findings import Category, Finding, Severity

E_contra = TypeVar("E_contra", bound=Event, contravariant=True)

REQUIRED_SECTIONS = ("What it does", "Why it matters", "Example", "Use instead")
OPTIONAL_SECTIONS = ("Limits",)


@dataclass(frozen=True, slots=True)
class Page:
    r"""A rule's docstring, taken apart.

    >>> page = Page.parse('''One line.
    ...
    ... ## What it does
    ... Finds it.
    ... ## Why it matters
    ... It hurts.
    ... ## Example
    ... ```python
    ... x = 1
    ... ```
    ... ## Use instead
    ... ```python
    ... x = 2
    ... ```
    ... ''')
    >>> page.summary, page.example
    ('One line.', 'x = 1\n')
    """

    summary: str
    sections: dict[str, str]
    example: str
    """The code that must raise the rule, and only it."""
    fixed: str
    """The code that must be silent."""

    @classmethod
    def parse(cls, docstring: str) -> "Page":
        """Read a docstring; a `ValueError` names the section that is missing, unknown or without code."""
        summary, *parts = re.split(r"^## (.+)\n", inspect.cleandoc(docstring) + "\n", flags=re.MULTILINE)
        sections = {title: text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}
        known = REQUIRED_SECTIONS + OPTIONAL_SECTIONS
        if list(sections) != [title for title in known if title in sections] or not {*REQUIRED_SECTIONS} <= {*sections}:
            msg = f"a rule's docstring has the sections {', '.join(known)}, in this order; this has {list(sections)}"
            raise ValueError(msg)
        return cls(summary.strip(), sections, _code(sections, "Example"), _code(sections, "Use instead"))


def _code(sections: dict[str, str], title: str) -> str:
    block = re.search(r"```python\n(.*?)```", sections[title], flags=re.DOTALL)
    if block is None:
        msg = f"the section {title!r} of a rule's docstring has no ```python block"
        raise ValueError(msg)
    return block[1]


class _PageOfRule:
    """Reads a rule's page once: no run needs more than those of the rules that found something."""

    def __get__(self, rule: object, rule_type: type) -> Page:
        return _page_of(rule_type)


@functools.cache
def _page_of(rule_type: type) -> Page:
    return Page.parse(rule_type.__doc__ or "")


class Rule(ABC, Generic[E_contra]):
    """One mistake, looked for in the events of its type argument.

    A subclass says `class LossBroadcast(Rule[LossComputed])`, or `Rule[A | B]` for several. An instance serves one
    model in one session, so counts over steps live on `self`.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity]
    since: ClassVar[str]
    """The version of tensorcheck that first had it."""
    events: ClassVar[tuple[type[Event], ...]]
    """What it subscribes to, read from the type argument."""
    page: ClassVar[_PageOfRule] = _PageOfRule()
    """The docstring, taken apart when it is first asked for."""

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - object's own signature
        """Read the subscription."""
        super().__init_subclass__(**kwargs)
        bases = (base for base in cls.__dict__["__orig_bases__"] if typing.get_origin(base) is Rule)
        argument = typing.get_args(next(bases))[0]
        cls.events = typing.get_args(argument) or (argument,)

    @abstractmethod
    def check(self, event: E_contra) -> Iterator[Finding]:
        """Judge one event; a pure function of it and of what earlier ones left on `self`."""

    @classmethod
    def category(cls) -> Category:
        """The category that the code belongs to."""
        return Category.of(cls.code)

    @classmethod
    def instruments(cls) -> frozenset[Instrument]:
        """What has to be on for this rule to see anything."""
        return frozenset(event.instrument for event in cls.events)

    def finding(self, headline: str, **parts: Any) -> Finding:  # noqa: ANN401 - Finding checks the parts
        """A finding of this rule; `parts` are the fields of `Finding`."""
        return Finding(rule=self.code, name=self.name, severity=self.severity, headline=headline, **parts)
