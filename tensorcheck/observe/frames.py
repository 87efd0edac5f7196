"""Whose code a frame runs, and where in its source it stands."""

import ast
import functools
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from types import CodeType, FrameType, TracebackType

import executing
import torch

import tensorcheck
from tensorcheck.sites import Site

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(tensorcheck.__file__).parent)
_OUR_LOOP = str(Path(_OURS, "training"))
"""The reference loop is read, copied and blamed like any user's code."""
_ON_OUR_BEHALF = frozenset(str(Path(_OURS, file)) for file in ("preflighting.py", "experiment/asking.py"))
"""What calls the user's code by itself; who called that has no part in what is wrong there."""
Span = tuple[int | None, int | None, int | None, int | None]
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_ELSEWHERE = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
"""Of another environment, which a path file or PYTHONPATH may lead to."""


class Owner(Enum):
    """Who wrote a piece of code."""

    USER = auto()
    INSTALLED = auto()
    """The standard library or an installed package."""
    TORCH = auto()
    OURS = auto()
    OUTERMOST = auto()
    """Ours too, but what is further out than this has nothing to do with what runs inside."""


@functools.cache
def owner_of(filename: str) -> Owner:
    """Who wrote the code of this file."""
    if filename.startswith(_OUR_LOOP):
        return Owner.USER
    if filename in _ON_OUR_BEHALF:
        return Owner.OUTERMOST
    if filename.startswith((_OURS, "<tensorcheck")):
        return Owner.OURS
    if filename.startswith(_TORCH):
        return Owner.TORCH
    return Owner.INSTALLED if _is_installed(filename) else Owner.USER


def _is_installed(filename: str) -> bool:
    is_known = filename.startswith((*_LIBRARIES, "<frozen", "<__array_function__", "<eval_with_key>"))
    return is_known or any(folder in filename for folder in _ELSEWHERE)


def user_frame() -> FrameType | None:
    """The innermost frame of the running stack that the user wrote; a library's where the user wrote none."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
    of_installed = None
    while frame is not None:
        owner = owner_of(frame.f_code.co_filename)
        if owner is Owner.USER:
            return frame
        if owner is Owner.OUTERMOST:
            return None
        if owner is Owner.INSTALLED and of_installed is None:
            of_installed = frame
        frame = frame.f_back
    return of_installed


def user_files() -> tuple[str, ...]:
    """The files of the user's functions that are running, each once."""
    files: dict[str, None] = {}
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - likewise
    while frame is not None:
        if owner_of(frame.f_code.co_filename) is Owner.USER:
            files[frame.f_code.co_filename] = None
        frame = frame.f_back
    return tuple(files)


def file_of_caller() -> str:
    """The file of the user's that called what of PyTorch is running; empty where a library did so for them."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - likewise
    while frame is not None and owner_of(frame.f_code.co_filename) in (Owner.OURS, Owner.TORCH):
        frame = frame.f_back
    is_users = frame is not None and owner_of(frame.f_code.co_filename) is Owner.USER
    return frame.f_code.co_filename if frame is not None and is_users else ""


def frames_of(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """The frames of a traceback, outermost first, each with its instruction's offset."""
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lasti
        traceback = traceback.tb_next


class Sites:
    """The places met in one session; found once, then known by code object and instruction.

    The key is the code object's id, for hashing a code object hashes all of it; the value keeps it alive and so the id.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[CodeType, Site]] = {}

    def here(self) -> Site | None:
        """Where in the user's source the running stack stands."""
        frame = user_frame()
        return None if frame is None else self.at(frame.f_code, frame.f_lasti)

    def at(self, code: CodeType, instruction: int) -> Site:
        """The expression that this instruction belongs to."""
        key = (id(code), instruction)
        if key not in self._known:
            self._known[key] = (code, _locate(code, instruction))
        return self._known[key][1]


def expression_at(code: CodeType, instruction: int) -> ast.expr | ast.AugAssign | None:
    """The syntax tree of the expression, or of `x += y`, that this instruction is of, where the source is at hand.

    Of a statement with a condition, it is the condition.
    """
    tree = _source(code.co_filename).tree
    return _expressions(tree).get(position_of(code, instruction)) if tree is not None else None


@functools.lru_cache(maxsize=16)
def _expressions(tree: ast.Module) -> Mapping[Span, ast.expr | ast.AugAssign]:
    """The expressions of a file by where they stand, the outermost of several that stand at one place."""
    found: dict[Span, ast.expr | ast.AugAssign] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.AugAssign):
            found.setdefault(_span(node), node)
        elif isinstance(node, ast.If | ast.While | ast.Assert):
            found.setdefault(_span(node), node.test)
    return found


def spelled_arguments(node: ast.AST | None, names: Sequence[str]) -> dict[str, ast.expr]:
    """How a call spells its arguments, by the names of the parameters that they go to."""
    if not isinstance(node, ast.Call) or any(isinstance(argument, ast.Starred) for argument in node.args):
        return {}
    return dict(zip(names, node.args, strict=False)) | {word.arg: word.value for word in node.keywords if word.arg}


def spelled_sites(code: CodeType, instruction: int, names: Sequence[str]) -> dict[str, Site]:
    """Where the call at this instruction spells its arguments, by the names of the parameters that they go to."""
    spelled = spelled_arguments(expression_at(code, instruction), names)
    return {name: site_of_node(value, code.co_filename, code.co_qualname) for name, value in spelled.items()}


def site_of_node(node: ast.expr | ast.stmt, filename: str, function: str) -> Site:
    """The place of a piece of a syntax tree."""
    return _site(filename, function, _span(node))


def site_of_line(filename: str, line: int, function: str = "") -> Site:
    """A whole line, where no more is known of the place."""
    return _site(filename, function, (line, None, None, None))


def _locate(code: CodeType, instruction: int) -> Site:
    return _site(code.co_filename, code.co_qualname, position_of(code, instruction))


def position_of(code: CodeType, instruction: int) -> Span:
    """First and last line and column of the expression that an instruction belongs to, as syntax trees count them."""
    positions = list(code.co_positions())
    index = instruction // 2
    return positions[index] if 0 <= index < len(positions) else (code.co_firstlineno, None, None, None)


def _span(node: ast.expr | ast.stmt) -> Span:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def tree_of(filename: str) -> ast.Module | None:
    """The syntax tree of a file, where its source is at hand."""
    return _source(filename).tree


def _source(filename: str) -> executing.Source:
    return executing.Source.for_filename(filename)


def _site(filename: str, function: str, span: Span) -> Site:
    line, end_line, start, end = span
    lines = _source(filename).lines
    first = line or 0
    source = lines[first - 1].rstrip("\n") if 0 < first <= len(lines) else ""
    file = _shown(filename)
    name = function.replace("<locals>.", "").removesuffix("<module>")
    if start is None or end is None or not source:
        return Site(file, first, code=source.strip(), source=source, function=name)
    last = (end_line or first) - 1
    begin = _characters(source, start)
    if last == first - 1:
        stop = _characters(source, end)
        code = source[begin:stop]
    else:
        stop = len(source)
        rest = (text.strip() for text in [*lines[first:last], lines[last].encode()[:end].decode(errors="replace")])
        code = " ".join([source[begin:].strip(), *rest])
    return Site(file, first, begin + 1, stop + 1, code=code, source=source, function=name)


def _characters(text: str, offset: int) -> int:
    """A column of a syntax tree counts UTF-8 bytes; a person counts characters."""
    return len(text.encode()[:offset].decode(errors="replace"))


def _shown(filename: str) -> str:
    """Relative to the working directory where it lies below it; a cell by its number."""
    if (cell := _cell(filename)) is not None:
        return cell
    try:
        return Path(filename).relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return filename


def _cell(filename: str) -> str | None:
    """What IPython calls the cell that it compiled under this name: `In[3]`."""
    ipython = sys.modules.get("IPython.core.getipython")
    shell = ipython.get_ipython() if ipython is not None else None
    name = shell.compile.format_code_name(filename) if shell is not None else None
    return None if name is None else str(name[1])
