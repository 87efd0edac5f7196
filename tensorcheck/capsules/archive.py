"""A capsule's file: a zip of `capsule.json` and the raw little-endian values of its tensors, `tensors/0` and so on.

Nothing in it is compressed, so nothing can unfold: what is read is never larger than the file. No entry is written to
the disk, and none is a pickle.
"""

import errno
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn, Self

from tensorcheck.capsules.contents import Capsule, CapsuleError
from tensorcheck.capsules.form import from_json, stored_bytes, to_json

CONTENTS = "capsule.json"
_FOLDER = "tensors/"
_VALUES = re.compile(r"tensors/[0-9]{1,9}")
_LARGEST_CONTENTS = 32 << 20
_MOST_ENTRIES = 100_000
_UNREADABLE = (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, ValueError, OverflowError)


def write_capsule(target: Path, capsule: Capsule, values: Mapping[int, bytes]) -> None:
    """Write a capsule with the values of its tensors, whole or not at all, into a folder that is there."""
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder of the capsule does not exist", str(target.parent))
    unfinished = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        with unfinished.open("xb") as file:
            _write(file, capsule, values)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _write(file: BinaryIO, capsule: Capsule, values: Mapping[int, bytes]) -> None:
    text = json.dumps(to_json(capsule), indent=1, allow_nan=False)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(CONTENTS), text.encode("utf-8", "backslashreplace"))
        for number, content in values.items():
            archive.writestr(_entry(f"{_FOLDER}{number}"), content)


def _entry(name: str) -> zipfile.ZipInfo:
    """With a date that is always the same."""
    return zipfile.ZipInfo(name)


class CapsuleFile:
    """A capsule that is read from a file; a `CapsuleError` says in a sentence why it can't be."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            msg = f"{path} can't be read: {error.strerror or error}"
            raise CapsuleError(msg) from error
        except _UNREADABLE as error:
            msg = f"{path} is no capsule, or only the beginning of one: {error}"
            raise CapsuleError(msg) from error
        try:
            self._entries = dict(_checked(self._archive.infolist(), path.stat().st_size))
            self.capsule = from_json(self._contents())
            self._refuse_other_lengths()
        except CapsuleError:
            self.close()
            raise

    def _contents(self) -> object:
        if CONTENTS not in self._entries:
            msg = f"there is no {CONTENTS} in it"
            raise CapsuleError(msg)
        if self._entries[CONTENTS].file_size > _LARGEST_CONTENTS:
            msg = f"its {CONTENTS} has {self._entries[CONTENTS].file_size} bytes; {_LARGEST_CONTENTS} is the most"
            raise CapsuleError(msg)
        text = self._read(CONTENTS)
        try:
            return json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            msg = f"its {CONTENTS} is no JSON: {error}"
            raise CapsuleError(msg) from error

    def _refuse_other_lengths(self) -> None:
        for number, tensor in enumerate(self.capsule.tensors):
            entry = self._entries.get(f"{_FOLDER}{number}")
            wanted = stored_bytes(tensor) if tensor.is_plain and tensor.has_values else None
            found = None if entry is None else entry.file_size
            if wanted != found:
                msg = f"tensor {number} is {tensor}, and its values have {found or 0} bytes and not {wanted or 0}"
                raise CapsuleError(msg)

    def values(self, number: int) -> bytes:
        """The values of a tensor."""
        return self._read(f"{_FOLDER}{number}")

    def _read(self, name: str) -> bytes:
        try:
            return self._archive.read(self._entries[name])
        except (*_UNREADABLE, OSError) as error:
            msg = f"{name} in it can't be read: {error}"
            raise CapsuleError(msg) from error

    def close(self) -> None:
        """Let the file go."""
        self._archive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(entries: list[zipfile.ZipInfo], size: int) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """The entries by their names, none of which may be anything else than a capsule's."""
    if len(entries) > _MOST_ENTRIES:
        msg = f"it has {len(entries)} entries; {_MOST_ENTRIES} is the most"
        raise CapsuleError(msg)
    if sum(entry.file_size for entry in entries) > size:
        msg = "what is in it would be larger than the file itself"
        raise CapsuleError(msg)
    seen = set()
    for entry in entries:
        name = entry.filename
        if name in seen or (name != CONTENTS and not _VALUES.fullmatch(name)):
            msg = f"its entry {name!r} is none of a capsule's"
            raise CapsuleError(msg)
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            msg = f"its entry {name!r} is compressed, as nothing in a capsule is"
            raise CapsuleError(msg)
        seen.add(name)
        yield name, entry


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is no number of JSON"
    raise ValueError(msg)
