"""Files that are written whole or not at all."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from tensorcheck.training.errors import CheckpointError


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Replace a file's content; a reader sees the old one or the new one, also after a crash of the machine.

    The content goes to a hidden file beside it (a rename is atomic only within a file system), is forced to the disk,
    and takes the name; then the folder, which holds the name, is forced to the disk too. `CheckpointError` where that
    fails.
    """
    waiting = path.with_name(f".{path.name}.part")
    try:
        with waiting.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        msg = f"{path} can't be written: {error.strerror or error}{'; the one before it is unharmed' * path.exists()}"
        raise CheckpointError(msg) from error
    finally:
        # After the rename there is none; on any failure, Ctrl-C too, nothing half-written stays.
        waiting.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """The same for text, as UTF-8."""
    write_bytes(path, text.encode())


def save(path: Path, content: Any) -> None:  # noqa: ANN401 - whatever torch.save takes
    """`torch.save`, whole or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder, "weights.pth"), {"weight": torch.ones(2)})
    ...     torch.load(Path(folder, "weights.pth"), weights_only=True)
    {'weight': tensor([1., 1.])}
    """
    write_bytes(path, serialized(content))


def serialized(content: Any) -> memoryview:  # noqa: ANN401 - whatever torch.save takes
    """What `torch.save` would write. In memory, for on a full disk its writer hides the system's own error."""
    buffer = BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()


def check_writable(folder: Path) -> None:
    """Raise `CheckpointError` where the folder can't be made or written to; leaves no trace.

    >>> check_writable(Path("/dev/null/run"))
    Traceback (most recent call last):
    tensorcheck.training.errors.CheckpointError: no file can be written to /dev/null/run: /dev/null is no folder
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists() or path.is_symlink())
    reason = f"{nearest} is no folder" if not nearest.is_dir() else _refusal(lambda: _try_to_write(nearest))
    if reason:
        msg = f"no file can be written to {folder}: {reason}"
        raise CheckpointError(msg)


def _try_to_write(folder: Path) -> None:
    # Only trying tells: root passes every check of permissions and still can't write to a read-only disk.
    probe = folder / f".tensorcheck-{os.getpid()}.part"
    try:
        probe.touch()
    finally:
        probe.unlink(missing_ok=True)


def _refusal(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder can't be opened, and renames are journalled
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
