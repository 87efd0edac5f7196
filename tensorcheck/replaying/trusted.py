"""The user's modules that a capsule holds the source of, importable for as long as it is replayed.

This runs their code: nothing here is called without the word of whoever asks for the replay.
"""

import importlib
import linecache
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

from tensorcheck.capsules.contents import Source
from tensorcheck.replaying.rebuilding import CannotRebuildError

_MAIN = "__main__"
_NAME_OF_MAIN = "capsule_main"
"""What was the script has another name here, so that its `if __name__ == "__main__"` is none."""


@contextmanager
def importable(sources: Sequence[Source]) -> Iterator[None]:
    """Within, these can be imported, before any other of their names; afterwards they are gone."""
    finder = _Finder({_renamed(source.module): source for source in sources})
    before = {name: module for name, module in sys.modules.items() if finder.has(name)}
    for name in before:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if finder.has(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def find(reference: str) -> Any:  # noqa: ANN401 - a class or a function
    """Import what a name stands for: `models:Net`."""
    name, _, qualified = reference.partition(":")
    try:
        found: Any = importlib.import_module(_renamed(name))
        for part in qualified.split("."):
            found = getattr(found, part)
    except Exception as error:
        msg = f"`{reference.replace(':', '.')}` can't be imported: {type(error).__name__}: {error}"
        raise CannotRebuildError(msg) from error
    return found


def _renamed(module: str) -> str:
    return _NAME_OF_MAIN if module == _MAIN else module


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of a capsule, and runs their text."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def has(self, name: str) -> bool:
        """Whether a module of this name, or within it, is there."""
        return name in self._sources or self._is_package(name)

    def _is_package(self, name: str) -> bool:
        return any(other.startswith(f"{name}.") for other in self._sources)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the signature of a finder
        target: ModuleType | None = None,  # noqa: ARG002 - likewise
    ) -> ModuleSpec | None:
        """The module, if it is one of these."""
        if not self.has(fullname):
            return None
        return spec_from_loader(fullname, self, is_package=self._is_package(fullname))

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002 - the signature of a loader
        """The usual one."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run its text, whose lines tracebacks and the debugger then show."""
        source = self._sources.get(module.__name__)
        if source is None:
            return
        name = f"<capsule>/{source.file.replace(chr(92), '/').rpartition('/')[2]}"
        lines = source.text.splitlines(keepends=True)
        linecache.cache[name] = (len(source.text), None, lines, name)
        exec(compile(source.text, name, "exec"), vars(module))  # noqa: S102 - it was trusted
