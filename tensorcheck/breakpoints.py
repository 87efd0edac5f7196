"""`tensorcheck.breakpoint_on`: the debugger, at the user's own line, as soon as a rule finds something there.

The rules whose findings stop the program are known process-wide, for so are the sessions that find: with the table of
patches, the other piece of module-level state.
"""

import difflib
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tensorcheck.catalogue import entries
from tensorcheck.findings import Finding
from tensorcheck.observe.frames import user_frame
from tensorcheck.render.text import finding_text


class Breakpoint:
    """Stands until `close`, or until the end of a `with`."""

    def __init__(self, rules: Sequence[str]) -> None:
        self._rules = tuple(rules)
        BREAKPOINTS.wanted.update(self._rules)

    def close(self) -> None:
        """Stop no more; may be called again."""
        BREAKPOINTS.wanted.subtract(self._rules)
        self._rules = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def breakpoint_on(*rules: str) -> Breakpoint:
    """Stop in the debugger, as `breakpoint()` does, when a rule of these kinds finds something in any session.

    A kind is the name of a rule or the beginning of codes: `TCK2` for all of shape, `TCK202` for one. The prompt
    stands at your own line that was running, below the finding; at an exception that is explained, at the line of its
    traceback. As for `breakpoint()`, `PYTHONBREAKPOINT=0` switches it off and `sys.breakpointhook` chooses another
    debugger. It holds until the end of a `with`, or until `close` is called on what is returned.

    >>> with breakpoint_on("TCK2", "dropped-gradient"):
    ...     pass
    Traceback (most recent call last):
    ValueError: no rule is called 'dropped-gradient'; a kind is a name or the beginning of codes, such as 'TCK2'
    """
    if not rules:
        msg = "breakpoint_on() names at least one kind of rule, such as 'TCK2'"
        raise ValueError(msg)
    for rule in rules:
        _refuse_unknown(rule)
    return Breakpoint(rules)


def _refuse_unknown(kind: str) -> None:
    names = [entry.name for entry in entries()]
    if re.fullmatch(r"TCK\d{0,3}", kind) or kind in names:
        return
    nearest = difflib.get_close_matches(kind, names, n=1, cutoff=0.8)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "a kind is a name or the beginning of codes, such as 'TCK2'"
    msg = f"no rule is called {kind!r}; {hint}"
    raise ValueError(msg)


class Breakpoints:
    """What the sessions ask whenever they have found something new."""

    def __init__(self) -> None:
        self.wanted: Counter[str] = Counter()
        """The kinds, and how many breakpoints each was named by."""

    def wants(self, finding: Finding) -> bool:
        """Whether the program is to be stopped for this finding."""
        kinds = [kind for kind, count in self.wanted.items() if count > 0]
        is_named = any(finding.name == kind or finding.rule.startswith(kind) for kind in kinds)
        is_off = sys.breakpointhook is sys.__breakpointhook__ and os.environ.get("PYTHONBREAKPOINT") == "0"
        return is_named and not is_off

    def stop(self, finding: Finding, error: BaseException | None = None) -> None:
        """Open the debugger, if one of the breakpoints is for this finding; to quit it raises `bdb.BdbQuit`.

        With an exception, where that was raised; to quit then goes on with the exception.
        """
        if not self.wants(finding):
            return
        from tensorcheck.debugger import open_debugger  # noqa: PLC0415 - most programs never stop

        open_debugger(f"{finding_text(finding)}\n", user_frame(), error)


BREAKPOINTS = Breakpoints()
"""Those of this process."""
