"""What is the same in two steps: once may be chance."""

import weakref
from collections.abc import Hashable, Mapping

from torch import Tensor

from tensorcheck.observe.followed import Followed
from tensorcheck.observe.standstill import Standing
from tensorcheck.observe.subject import Subject


class Recurring:
    """What is said of an optimizer's parameters in several of its steps; what was said twice is told once."""

    def __init__(self) -> None:
        self._last: weakref.WeakKeyDictionary[Subject, dict[Hashable, Standing]] = weakref.WeakKeyDictionary()
        self._told: weakref.WeakKeyDictionary[Subject, dict[Hashable, bool]] = weakref.WeakKeyDictionary()
        """What was said, and whether it was told."""

    def unmoved(
        self, what: Hashable, followed: Followed, subject: Subject, parameters: Mapping[str, Tensor]
    ) -> tuple[str, ...]:
        """Those of them of which the same was said before and that nothing moved since, if that is to be told now."""
        key, known = (what, id(followed)), self._last.setdefault(subject, {})
        if not self._is_second(key, subject):
            known.setdefault(key, Standing(parameters))
            return ()
        still = tuple(name for name in known[key].names() if name in parameters)
        self._told[subject][key] = bool(still)
        return still

    def is_again(self, what: Hashable, followed: Followed, subject: Subject) -> bool:
        """Whether the same was said before, and is to be told now; the parameters may have moved."""
        key = what, id(followed)
        is_second = self._is_second(key, subject)
        if is_second:
            self._told[subject][key] = True
        return is_second

    def _is_second(self, key: Hashable, subject: Subject) -> bool:
        """Whether it was said before and not told."""
        told = self._told.setdefault(subject, {})
        is_second = key in told and not told[key]
        told.setdefault(key, False)
        return is_second
