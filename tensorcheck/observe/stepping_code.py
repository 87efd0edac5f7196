"""Whether anything in the user's files steps a learning-rate schedule, as far as reading them can tell."""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType, ModuleType

from tensorcheck.observe.frames import Owner, owner_of, site_of_node, tree_of
from tensorcheck.sites import Site

_OTHERS = re.compile(r"(^|[._])(opt\w*|\w*optim\w*|\w*scaler|\w*env\w*)$", re.IGNORECASE)
"""What else has a `step`, by the names that people give it: an optimizer, a gradient scaler, an environment."""
_CELL = re.compile(r"ipython-input|ipykernel_|__marimo__")
"""What the names of cells have in them: of IPython in a terminal, of Jupyter, of marimo."""
_MOST_FILES = 300


@dataclass(frozen=True, slots=True)
class SteppingCode:
    """What was found where no `step` of a schedule is called."""

    uncalled: Site | None
    """A statement that names a `step` and does not call it."""
    name: str
    """What the schedule is assigned to."""


def steps_in_code(files: Sequence[str], built: Site, stepped: Site | None) -> SteppingCode | None:
    """What is known of a schedule that no code of the user's steps; None where some may do so.

    The first file is the one in which it was built. The optimizer's own `step` has to be called by the user: what
    trains in their place may step schedules too.
    """
    if stepped is None or ".step(" not in stepped.code:
        return None
    optimizer = stepped.code.partition(".step(")[0]
    uncalled: Site | None = None
    for name, tree in _trees(files):
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=owner, attr="step")) if not _is_other(owner, optimizer):
                    return None
                case ast.Expr(value=ast.Attribute(value=owner, attr="step")) if not _is_other(owner, optimizer):
                    uncalled = uncalled or site_of_node(node.value, name, "")
    return SteppingCode(uncalled, _assigned(files[0], built)) if uncalled or not _are_cells(files) else None


def _is_other(owner: ast.expr, optimizer: str) -> bool:
    text = ast.unparse(owner)
    return text == optimizer or _OTHERS.search(text) is not None


def _trees(files: Sequence[str]) -> Iterator[tuple[str, ast.Module]]:
    """These files, and the user's modules that they use, and those that these use."""
    names = dict.fromkeys([*files, *_files_used_by(files)])
    for name in list(names)[:_MOST_FILES]:
        tree = tree_of(name)
        if tree is not None:
            yield name, tree


def _files_used_by(files: Sequence[str]) -> list[str]:
    waiting = [module for module in list(sys.modules.values()) if _file_of(module) in files]
    for module in waiting:
        for used in _used_by(module):
            if used not in waiting and owner_of(_file_of(used)) is Owner.USER and len(waiting) < _MOST_FILES:
                waiting.append(used)
    return [file for module in waiting if (file := _file_of(module))]


def _used_by(module: ModuleType) -> Iterator[ModuleType]:
    """The modules that a module's names lead to; nothing is asked of an object but its own class."""
    for value in list(vars(module).values()):
        name = value.__module__ if issubclass(type(value), type | FunctionType) else type(value).__module__
        used = value if type(value) is ModuleType else sys.modules.get(name or "")
        if type(used) is ModuleType and _file_of(used):
            yield used


def _file_of(module: object) -> str:
    file = vars(module).get("__file__") if type(module) is ModuleType else None
    return file if isinstance(file, str) and file.endswith(".py") else ""


def _are_cells(files: Sequence[str]) -> bool:
    """Whether it may be stepped in another cell of a notebook."""
    return any(_CELL.search(file) for file in files)


def _assigned(filename: str, built: Site) -> str:
    """The name that the expression at a place is assigned to."""
    for node in ast.walk(tree_of(filename) or ast.Module([], [])):
        match node:
            case ast.Assign(targets=[ast.Name() | ast.Attribute() as target]) if node.value.lineno == built.line:
                return ast.unparse(target)
    return ""
