"""Files that are saved: their paths, and whether the user's own code may write one of a name."""

import ast
import linecache
import os
import re
import sys
from collections.abc import Iterator, Mapping
from types import FrameType, FunctionType, ModuleType

from tensorcheck.observe.frames import Owner, owner_of, tree_of
from tensorcheck.observe.scopes import called_name

_ANY = ".*"
_LAST = frozenset({"join", "joinpath", "Path", "PurePath", "fspath", "str"})
"""Calls whose last argument ends the path that they make."""
_DEEPEST = 4
"""Names that are looked up one through the other."""


def path_of(file: object) -> str:
    """The path of a file as it is given; empty for one in memory."""
    name = getattr(file, "name", None)
    path = file if isinstance(file, str | os.PathLike) else name if isinstance(name, str) else ""
    return os.path.realpath(os.fsdecode(path)) if path else ""


def may_be_written(name: str) -> bool:
    """Whether a call of `torch.save` in the running program may write a file of this name."""
    for filename in _files():
        tree = tree_of(filename) or ast.Module([], [])
        for node in ast.walk(tree):
            target = _target(node) if isinstance(node, ast.Call) else None
            if target is not None and any(re.fullmatch(end, name) for end in _ends(target, tree, _DEEPEST)):
                return True
    return False


def _files() -> Iterator[str]:
    """The files of the running functions and of what they import that may save something."""
    open_ones, met = _running(), set[str]()
    while open_ones:
        filename, names = open_ones.popitem()
        if filename in met or owner_of(filename) is not Owner.USER:
            continue
        met.add(filename)
        if "save(" in _text(filename):
            yield filename
        open_ones.update(_imported(names))


def _running() -> dict[str, Mapping[str, object]]:
    frames: dict[str, Mapping[str, object]] = {}
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to walk frames without making a list
    while frame is not None:
        frames[frame.f_code.co_filename] = frame.f_globals
        frame = frame.f_back
    return frames


def _imported(names: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The modules that a module names, or of which it names a function, a class or an object, by their files."""
    for value in tuple(names.values()):
        kind = value if isinstance(value, type | FunctionType) else type(value)
        module = value if isinstance(value, ModuleType) else sys.modules.get(str(kind.__module__))
        known = getattr(module, "__dict__", {})  # a lazy module would import what it stands for
        if isinstance(filename := known.get("__file__"), str):
            yield filename, known


def _text(filename: str) -> str:
    return "".join(linecache.getlines(filename))


def _target(call: ast.Call) -> ast.expr | None:
    """What a call of `torch.save`, or of what takes the same arguments, writes to."""
    if called_name(call) != "save" or ast.unparse(call.func) in ("np.save", "numpy.save"):
        return None
    named = next((word.value for word in call.keywords if word.arg == "f"), None)
    return named or (call.args[1] if len(call.args) > 1 else None)


def _ends(node: ast.expr, tree: ast.Module, depth: int) -> Iterator[str]:
    """Patterns of the last component of a path."""
    match node:
        case ast.Constant(value=str(text)):
            yield re.escape(text.replace("\\", "/").rpartition("/")[2])
        case ast.JoinedStr(values=parts):
            texts = (str(part.value) if isinstance(part, ast.Constant) else None for part in parts)
            yield "".join(_ANY if text is None else re.escape(text) for text in texts).rpartition("/")[2]
        case ast.BinOp(op=ast.Div(), right=last) | ast.Call(args=[*_, last]) if _is_joined(node):
            yield from _ends(last, tree, depth)
        case ast.BinOp(op=ast.Add(), right=last):
            yield from (f"{_ANY}{end}" for end in _ends(last, tree, depth))
        case ast.Call(func=ast.Name(id="open") | ast.Attribute(attr="open"), args=[path, *_]):
            yield from _ends(path, tree, depth)
        case ast.Name(id=name) if depth and (given := list(_given(name, tree))):
            for value in given:
                yield from _ends(value, tree, depth - 1)
        case ast.Call() if called_name(node) == "BytesIO":
            return
        case _:
            yield _ANY


def _is_joined(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) or called_name(node) in _LAST


def _given(name: str, tree: ast.Module) -> Iterator[ast.expr]:
    """What the statements of a file give to a name."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value) if any(_is(each, name) for each in targets):
                yield value
            case ast.AnnAssign(target=target, value=ast.expr() as value) if _is(target, name):
                yield value
            case ast.withitem(context_expr=value, optional_vars=ast.expr() as target) if _is(target, name):
                yield value
            case ast.arg(arg=given) if given == name:
                yield ast.Name(id="", ctx=ast.Load())  # a parameter may be anything


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
