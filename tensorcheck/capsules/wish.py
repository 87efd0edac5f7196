"""Where capsules are wanted, and with what in them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tensorcheck.capsules.contents import SUFFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class CapsuleWish:
    """What was asked for.

    >>> CapsuleWish(folder=Path("runs")).path("TCK202", "0a1b").name
    'tensorcheck-TCK202-0a1b.capsule'
    """

    folder: Path
    file: Path | None = None
    """The name of the first one, if its user chose it."""
    with_weights: bool = False
    tell: Callable[[str], object] = print
    """Told in a sentence of each capsule that was written for what raised nothing."""

    @classmethod
    def at(cls, wanted: Path, *, tell: Callable[[str], object], with_weights: bool = False) -> Self:
        """In this folder, or in this file.

        >>> CapsuleWish.at(Path("/nowhere/bug.capsule"), tell=print).folder.name
        'nowhere'
        """
        path = wanted.absolute()
        file = None if path.is_dir() else path
        return cls(folder=path if file is None else path.parent, file=file, with_weights=with_weights, tell=tell)

    def path(self, what: str, fingerprint: str) -> Path:
        """The default name."""
        return self.folder / f"tensorcheck-{what}-{fingerprint}{SUFFIX}"

    def next_path(self, what: str, fingerprint: str, *, is_first: bool) -> Path:
        """The name of a capsule: what its user chose for the first, and with more in it for those that follow.

        >>> wish = CapsuleWish(folder=Path("runs"), file=Path("runs/bug.capsule"))
        >>> [wish.next_path("TCK202", "0a1b", is_first=first).name for first in (True, False)]
        ['bug.capsule', 'bug-TCK202-0a1b.capsule']
        """
        if self.file is None:
            return self.path(what, fingerprint)
        return self.file if is_first else self.file.with_name(f"{self.file.stem}-{what}-{fingerprint}{SUFFIX}")
