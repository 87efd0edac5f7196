"""The source text that defines the user's classes and functions, as far as it takes to define them once more.

Of a script that is only what the captured classes need: its imports, classes, functions and constants. Its loop is left
out, for who replays the capsule has neither the data nor the time. Other modules do nothing but define, and are whole.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from tensorcheck.capsules.contents import Source
from tensorcheck.observe.frames import Owner, owner_of

MAIN = "__main__"
_MOST = 200
"""Modules."""
_LONGEST = 1 << 20
"""Characters of one."""


def sources_of(references: Iterable[str]) -> Iterator[Source]:
    """The modules of the user's in which these are defined, `models:Net`, and those that they import."""
    names: dict[str, set[str]] = {}
    for reference in references:
        module, _, name = reference.partition(":")
        names.setdefault(module, set()).add(name.split(".")[0])
    waiting, seen = list(names), set[str]()
    while waiting and len(seen) < _MOST:
        module = waiting.pop(0)
        if module in seen:
            continue
        seen.add(module)
        source = _source(module, names.get(module, set()))
        if source is not None:
            yield source
            waiting += [each for each in _imported(source) if _is_of_user(each)]


def _source(name: str, wanted: set[str]) -> Source | None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    text = _text_of(file)
    if module is None or file is None or text is None:
        return None
    return Source(name, _shown(file), definitions(text, wanted) if name == MAIN else text)


def _shown(file: str) -> str:
    """Relative to the working directory, for where that lies is nobody's business; else the name alone."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def _text_of(file: str | None) -> str | None:
    try:
        text = importlib.util.decode_source(_read(file)) if file is not None else None
    except (OSError, SyntaxError, ValueError):
        return None
    return text if text is not None and len(text) <= _LONGEST else None


def _read(file: str) -> bytes:
    with open(file, "rb") as source:  # noqa: PTH123 - a module's file is a string
        return source.read(_LONGEST * 4)


def _is_of_user(name: str) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    return isinstance(file, str) and file.endswith(".py") and owner_of(file) is Owner.USER


def _imported(source: Source) -> Iterator[str]:
    """The modules that a text imports, by their whole names."""
    package = _package(source.module)
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            try:
                found = importlib.util.resolve_name(base, package)
            except ImportError:
                continue
            yield found
            yield from (f"{found}.{alias.name}" for alias in node.names)


def _package(name: str) -> str:
    module: ModuleType | None = sys.modules.get(name)
    return getattr(module, "__package__", None) or name.rpartition(".")[0]


def definitions(text: str, wanted: Iterable[str]) -> str:
    r"""What of a script defines these names and all that they use; the lines between are empty and keep their numbers.

    >>> print(definitions("import torch\nWIDTH = 4\ndef f():\n    return WIDTH\nf()", ["f"]))
    <BLANKLINE>
    WIDTH = 4
    def f():
        return WIDTH
    """
    lines, kept = text.splitlines(), set[int]()
    for statement in _needed(ast.parse(text).body, set(wanted)):
        first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])
        kept |= set(range(first, (statement.end_lineno or first) + 1))
    return "\n".join(line if number in kept else "" for number, line in enumerate(lines, 1)).rstrip()


def _needed(statements: list[ast.stmt], wanted: set[str]) -> list[ast.stmt]:
    """The statements at the top level that bind the wanted names, and those that bind what these use."""
    binding = {statement: _bound(statement) for statement in statements if not _is_start(statement)}
    kept = {statement for statement in binding if _binds_anything(statement)}
    waiting, seen = [*wanted, *(name for statement in kept for name in _used(statement))], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for statement in (each for each, names in binding.items() if name in names and each not in kept):
            kept.add(statement)
            waiting += _used(statement)
    return [statement for statement in statements if statement in kept]


def _is_start(statement: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__"`, or a loop or block, which define nothing that a class needs."""
    if isinstance(statement, ast.If):
        return "__name__" in _used(statement.test)
    return isinstance(statement, ast.For | ast.While | ast.With | ast.Expr)


def _binds_anything(statement: ast.stmt) -> bool:
    is_all = isinstance(statement, ast.ImportFrom) and any(alias.name == "*" for alias in statement.names)
    return is_all or (isinstance(statement, ast.ImportFrom) and statement.module == "__future__")


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement binds; of one that holds others, theirs too."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    return {
        name
        for node in ast.walk(statement)
        for name in (
            [node.id] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else _bound_within(node)
        )
    }


def _bound_within(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return _bound(node)
    return ()


def _used(node: ast.AST) -> list[str]:
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)]
