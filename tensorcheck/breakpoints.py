"""`tensorcheck.breakpoint_on`: the debugger, at the user's own line, as soon as a rule finds something there.

The rules whose findings stop the program are known process-wide, for so are the sessions that find: with the table of
patches, the other piece of module-level state.
"""

import bdb
import difflib
import importlib
import inspect
import os
import pdb  # noqa: T100 - it is what opens it
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from tensorcheck.catalogue import all_rules
from tensorcheck.findings import Finding
from tensorcheck.observe.frames import Owner, owner_of, user_frame
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
    names = [rule.name for rule in all_rules()]
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
        return is_named and not (sys.breakpointhook is sys.__breakpointhook__ and _hook_name() == "0")

    def stop(self, finding: Finding, error: BaseException | None = None) -> None:
        """Open the debugger, if one of the breakpoints is for this finding; to quit it raises `bdb.BdbQuit`.

        With an exception, where that was raised; to quit then goes on with the exception.
        """
        if not self.wants(finding):
            return
        header = f"{finding_text(finding)}\n"
        frame, hook = user_frame(), _other_hook()
        if hook is not None:
            _call(hook, frame, header)
        elif error is not None and error.__traceback__ is not None:
            Debugger(header).look_back(frame, error.__traceback__)
        elif frame is not None:
            Debugger(header).stop_in(frame)


BREAKPOINTS = Breakpoints()
"""Those of this process."""


def _hook_name() -> str:
    return os.environ.get("PYTHONBREAKPOINT", "")


def _other_hook() -> Callable[..., Any] | None:
    """The debugger that was chosen in place of `pdb`, if one was."""
    if sys.breakpointhook is not sys.__breakpointhook__:
        return sys.breakpointhook
    module, _, function = _hook_name().rpartition(".")
    if not function:
        return None
    try:
        hook: Callable[..., Any] = getattr(importlib.import_module(module or "builtins"), function)
    except (ImportError, AttributeError):
        return sys.__breakpointhook__  # which warns that there is none
    return None if hook is pdb.set_trace else hook


def _call(hook: Callable[..., Any], frame: FrameType | None, header: str) -> None:
    """Another debugger stops where it is called unless it can be told the frame; the header says how far away."""
    accepted = _parameters(hook)
    above = len(list(_frames_between(frame)))
    if "frame" not in accepted and frame is not None:
        header = f"{header}Your line is {above} frames above the prompt: up {above}\n"
    given = {"frame": frame, "header": header}
    if "header" not in accepted:
        sys.stdout.write(header)
        sys.stdout.flush()
    hook(**{name: value for name, value in given.items() if name in accepted})


def _parameters(hook: Callable[..., Any]) -> Sequence[str]:
    if getattr(hook, "__module__", "") == "_pytest.debugging":
        return ("header",)  # which its signature does not say
    try:
        return tuple(inspect.signature(hook).parameters)
    except (TypeError, ValueError):
        return ()


def _frames_between(frame: FrameType | None) -> Iterator[FrameType]:
    """From the frame that calls the hook to the one below the user's."""
    running: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
    while running is not None and running is not frame:
        yield running
        running = running.f_back


class Debugger(pdb.Pdb):
    """Begins at a line of the user's, and does not step into this package."""

    def __init__(self, header: str) -> None:
        super().__init__(skip=["tensorcheck", "tensorcheck.*"])
        self._header = header
        self._begins = True
        """Whether it is yet to choose the frame that it begins at."""

    def stop_in(self, frame: FrameType) -> None:
        """Stop in a frame that is running; the commands that go on from there work as after `breakpoint()`."""
        self.reset()
        above: FrameType | None = frame
        while above is not None:
            above.f_trace = self.trace_dispatch
            self.botframe, above = above, above.f_back
        self.message(self._header)
        self.interaction(frame, None)
        if self.quitting:
            raise bdb.BdbQuit
        if self.stoplineno != _NOWHERE or self.breaks:
            sys.settrace(self.trace_dispatch)

    def look_back(self, frame: FrameType | None, traceback: TracebackType) -> None:
        """Look at the frames of an exception and at those around them, from the innermost of the user's."""
        self.reset()
        self.message(self._header)
        self.interaction(frame, traceback)

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """The stack, and which of its frames the prompt stands at: at first the innermost of the user's."""
        stack, place = super().get_stack(f, t)
        if not self._begins:
            return stack, place
        self._begins = False
        of_user = [at for at, (frame, _) in enumerate(stack) if owner_of(frame.f_code.co_filename) is Owner.USER]
        return stack, of_user[-1] if of_user else place


_NOWHERE = -1
"""The line at which `bdb` stops next after its command `continue`."""
