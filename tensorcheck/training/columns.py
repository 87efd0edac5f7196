"""Which of a file's named columns is the label."""

import difflib
from collections.abc import Sequence

from tensorcheck.training.errors import DataError

USUAL_NAMES = ("label", "labels", "target", "targets", "class", "y")


def choose_label(source: object, names: Sequence[str], wanted: str | None = None) -> str:
    """The column that was asked for, or else the one with a usual name: label, target, class or y.

    >>> choose_label("flowers.csv", ["width", "target"])
    'target'
    >>> choose_label("flowers.csv", ["width", "kind"], "knd")
    Traceback (most recent call last):
    tensorcheck.training.errors.DataError: flowers.csv has no column 'knd'; did you mean 'kind'?
    """
    if wanted is None:
        usual = [name for name in USUAL_NAMES if name in names]
        if not usual:
            msg = f"{source} has no column named label, target, class or y; say which it is with --label: {_all(names)}"
            raise DataError(msg)
        return usual[0]
    if wanted not in names:
        nearest = difflib.get_close_matches(wanted, names, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"it has {_all(names)}"
        msg = f"{source} has no column {wanted!r}; {hint}"
        raise DataError(msg)
    return wanted


def _all(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown  # noqa: PLR2004 - what fits on a line
