"""How a failed assertion reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from tensorcheck.testing.spelled import spelled_argument

_MOST = 5
"""Complaints that are shown; a model of which every parameter is wrong needs no list of them all."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with one tensor or part."""

    name: str
    """By which the test reaches it; `value` at its beginning stands for the first argument of the assertion."""
    got: object
    expected: str = ""
    reasons: tuple[str, ...] = ()


def fail(complaints: Sequence[Complaint], *, more: str = "") -> NoReturn:
    """Raise an `AssertionError` that says each in the test's own words, and then what more there is to say."""
    __tracebackhide__ = True
    lines = [line for complaint in complaints[:_MOST] for line in _lines(complaint)]
    if len(complaints) > _MOST:
        lines.append(f"and {len(complaints) - _MOST} more")
    raise AssertionError("\n".join([*lines, *([more] if more else [])]))


def _lines(complaint: Complaint) -> list[str]:
    expected = [f"  expected: {complaint.expected}"] if complaint.expected else []
    name = in_words_of_test(complaint.name)
    return [f"`{name}` is {complaint.got}", *expected, *[f"  {reason}" for reason in complaint.reasons]]


def in_words_of_test(path: str) -> str:
    """The expression of a part, with the first argument of the assertion as the test spells it.

    >>> in_words_of_test("encoder.weight")
    'encoder.weight'
    """
    if path != "value" and not path.startswith(("value[", "value.")):
        return path
    return spelled_argument() + path.removeprefix("value")
