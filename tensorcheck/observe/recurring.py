"""What is the same in two steps in a row: once may be chance."""

import weakref
from collections.abc import Hashable, Mapping

from torch import Tensor

from tensorcheck.observe.followed import Followed
from tensorcheck.observe.standstill import Standing
from tensorcheck.observe.subject import Subject


class Recurring:
    """Parameters about which the same is said, step after step of the same optimizer, and that nothing moved since.

    What was said twice is told once.
    """

    def __init__(self) -> None:
        self._last: weakref.WeakKeyDictionary[Subject, dict[Hashable, Standing]] = weakref.WeakKeyDictionary()
        self._told: weakref.WeakKeyDictionary[Subject, set[Hashable]] = weakref.WeakKeyDictionary()

    def names(
        self, what: Hashable, followed: Followed, subject: Subject, parameters: Mapping[str, Tensor]
    ) -> tuple[str, ...]:
        """Those of them of which the same was said before, if that is to be told now."""
        key, known = (what, id(followed)), self._last.setdefault(subject, {})
        before = known.get(key)
        if before is None:
            known[key] = Standing(parameters)
            return ()
        if key in self._told.setdefault(subject, set()):
            return ()
        still = tuple(name for name in before.names() if name in parameters)
        if still:
            self._told[subject].add(key)
        return still
