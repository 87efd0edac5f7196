"""What a session tells of its failures to; it imports nothing heavy where no capsule is wanted."""

from collections.abc import Callable, Sequence

from tensorcheck.capsules.wish import CapsuleWish
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding

Skip = Callable[[str, str], object]
"""Takes what could not be written, and why."""


class Keeper:
    """Keeps nothing: no capsules were asked for.

    >>> Keeper().forget_crashes()
    """

    def keep_crash(self, error: Exception, crash: Crashed, findings: Sequence[Finding]) -> str:  # noqa: ARG002 - as below
        """An exception was explained; the note to add to it, or nothing."""
        return ""

    def keep_finding(self, finding: Finding) -> None:
        """A rule found something in the call that is being made."""

    def forget_crashes(self) -> None:
        """The script handled its exceptions: there was no failure."""


def keeper_of(wish: CapsuleWish | None, skip: Skip) -> Keeper:
    """What keeps the capsules that were asked for."""
    if wish is None:
        return Keeper()
    from tensorcheck.capturing.keeper import CapsuleKeeper  # noqa: PLC0415 - seldom wanted

    return CapsuleKeeper(wish, skip)
