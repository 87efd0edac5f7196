"""What is to be run, found and compiled as `python` does it."""

import importlib.util
import os
import pkgutil
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import CodeType, ModuleType


class NoProgramError(Exception):
    """There is nothing to run; the message is `python`'s own, and so is the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Program:
    """A script, a folder or archive with a `__main__`, or a module, with its arguments.

    >>> Program("train.py", ("--epochs", "3")).target
    'train.py'
    """

    target: str
    args: tuple[str, ...] = ()
    is_module: bool = False

    def prepare(self) -> "Prepared":
        """Find and compile it. `sys.path[0]` and `sys.argv` are its own from now on.

        A `NoProgramError` says that there is none; what a source that can't be compiled raises is raised here.
        """
        if self.is_module:
            return self._module()
        path = Path(self.target)
        if path.is_dir() or _is_archive(path):
            return self._container()
        return self._script(path)

    def _script(self, path: Path) -> "Prepared":
        sys.argv[:] = [self.target, *self.args]
        file = str(Path.cwd() / self.target)
        _set_first_path(str(path.resolve().parent))
        try:
            source = path.read_bytes()
        except OSError as error:
            msg = f"can't open file {file!r}: [Errno {error.errno}] {error.strerror}"
            raise NoProgramError(msg, 2) from error
        if path.suffix == ".pyc":
            loader: SourceFileLoader | SourcelessFileLoader = SourcelessFileLoader("__main__", file)
            code = loader.get_code("__main__")
        else:
            loader = SourceFileLoader("__main__", file)
            code = compile(source, file, "exec", dont_inherit=True)
        if code is None:
            msg = f"can't find code in {file!r}"
            raise NoProgramError(msg, 1)
        return Prepared(code, _new_main(file=file, loader=loader))

    def _container(self) -> "Prepared":
        sys.argv[:] = [self.target, *self.args]
        _set_first_path(str(Path.cwd() / self.target))
        sys.path_importer_cache.pop(sys.path[0], None)
        finder = pkgutil.get_importer(sys.path[0])
        spec = finder.find_spec("__main__", None) if finder is not None else None
        if spec is None:
            msg = f"can't find '__main__' module in {self.target!r}"
            raise NoProgramError(msg, 1)
        return _prepared(spec, package="")

    def _module(self) -> "Prepared":
        sys.argv[:] = ["-m", *self.args]
        _set_first_path(os.getcwd())  # noqa: PTH109 - `sys.path` holds strings
        spec = _spec_of(self.target)
        prepared = _prepared(spec, package=spec.parent or "")
        sys.argv[0] = spec.origin or self.target
        return prepared


@dataclass(frozen=True, slots=True)
class Prepared:
    """The code of a program and the module that it is to run in, which is `__main__` from now on."""

    code: CodeType
    main: ModuleType


def _is_archive(path: Path) -> bool:
    import zipfile  # noqa: PLC0415 - nearly always it is a script

    return path.suffix not in (".py", ".pyc") and path.is_file() and zipfile.is_zipfile(path)


def _set_first_path(first: str) -> None:
    """In place of the folder of the command `tensorcheck`, or of what `python -m tensorcheck` put there."""
    if not sys.flags.safe_path:
        sys.path[0] = first


def _spec_of(name: str) -> ModuleSpec:
    """As `python -m` finds it: of a package, its `__main__`."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        message = f"Error while finding module specification for {name!r} ({type(error).__name__}: {error})"
        raise NoProgramError(message, 1) from error
    if spec is None:
        msg = f"No module named {name}"
        raise NoProgramError(msg, 1)
    if spec.submodule_search_locations is None:
        return spec
    if name.endswith(".__main__"):
        msg = "Cannot use package as __main__ module"
        raise NoProgramError(msg, 1)
    try:
        return _spec_of(f"{name}.__main__")
    except NoProgramError as error:
        msg = f"{error}; {name!r} is a package and cannot be directly executed"
        raise NoProgramError(msg, 1) from error


def _prepared(spec: ModuleSpec, *, package: str) -> Prepared:
    get_code = getattr(spec.loader, "get_code", None)
    code = get_code(spec.name) if get_code is not None else None
    if code is None:
        msg = f"No code object available for {spec.name}"
        raise NoProgramError(msg, 1)
    main = _new_main(file=spec.origin or "", loader=spec.loader)
    vars(main).update(__package__=package, __spec__=spec, __cached__=spec.cached)
    return Prepared(code, main)


def _new_main(*, file: str, loader: object) -> ModuleType:
    main = ModuleType("__main__")
    vars(main).update(
        __annotations__={},
        __builtins__=sys.modules["builtins"],
        __cached__=None,
        __file__=file,
        __loader__=loader,
        __package__=None,
    )
    sys.modules["__main__"] = main
    return main
