"""What is known of a rule without importing it is what it is."""

import subprocess
import sys

import pytest

from tensorcheck.catalogue import Entry, all_rules, entries
from tensorcheck.rule import Rule


def test_every_rule_has_an_entry_and_no_code_or_name_is_used_twice() -> None:
    assert len({entry.code for entry in entries()}) == len({entry.name for entry in entries()}) == len(entries())
    assert set(all_rules()) == {each for each in Rule.__subclasses__() if each.__module__.startswith("tensorcheck.")}


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.code)
def test_an_entry_says_what_the_rule_says(entry: Entry) -> None:
    rule = entry.rule()

    assert (rule.code, rule.name, frozenset(rule.events)) == (entry.code, entry.name, entry.events)


def test_entries_import_no_rule() -> None:
    lines = (
        "import sys",
        "from tensorcheck.catalogue import entries",
        "modules = {entry.module for entry in entries()}",
        "print(len(modules), modules & sys.modules.keys(), 'torch' in sys.modules)",
    )
    words = (sys.executable, "-c", "\n".join(lines))

    assert subprocess.check_output(words, text=True) == f"{len(entries())} set() False\n"
