"""The ways out of a process that run nothing more of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_WAYS_OUT = ("_exit", "execv", "execve")
"""All of `os.exec…` go through the last two."""


@contextmanager
def before_leaving(finish: Callable[[], object]) -> Iterator[None]:
    """Within, call `finish` before this process leaves by a way that runs nothing more; a fork of it is let go."""
    process, before = os.getpid(), {name: getattr(os, name) for name in _WAYS_OUT}

    def leaving(name: str) -> Callable[..., Any]:
        def leave(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the original's own types
            if os.getpid() == process:
                with suppress(Exception):
                    finish()
            return before[name](*args, **kwargs)

        return leave

    ours = {name: leaving(name) for name in _WAYS_OUT}
    for name, function in ours.items():
        setattr(os, name, function)
    try:
        yield
    finally:
        for name, function in ours.items():
            if getattr(os, name) is function:
                setattr(os, name, before[name])
