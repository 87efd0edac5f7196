"""Text files that are written whole or not at all, without torch; `training/atomic.py` does it for checkpoints."""

import errno
import os
from pathlib import Path


def write_whole(target: Path, text: str, *, what: str) -> None:
    """Replace a file's content, in a folder that is there; `what` names the file in the error where it is not.

    Half of a surrogate pair, as in a file name that is no UTF-8, is written out, which JSON reads back.

    >>> write_whole(Path("missing/report.txt"), "", what="report")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] the folder of the report does not exist: 'missing'
    """
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"the folder of the {what} does not exist", str(target.parent))
    unfinished = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
