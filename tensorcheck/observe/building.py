"""The call of a class that built an object, followed back from an expression that stands for the object."""

import ast
from collections.abc import Iterator

from tensorcheck.observe.origins import origins
from tensorcheck.observe.scopes import Place

_MOST = 40
"""Places that are looked at: a constructor is near, or the way to it is lost."""


def building_calls(place: Place, cls: type) -> Iterator[Place]:
    """The calls of this class that an expression's value may have come from, the nearest first."""
    waiting, seen = [place], 0
    while waiting and seen < _MOST:
        here = waiting.pop(0)
        seen += 1
        if isinstance(here.node, ast.Call) and here.called == cls.__name__:
            yield here
        else:
            waiting = [*(origin.place for origin in origins(here)), *waiting]
